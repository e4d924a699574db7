"""Finance: the books shown, cut and exported.

layers            which grant was spent: routes of its own, and the agent that derives it
routes            trial balance, log and cuts over HTTP
bundle            an export: files, totals, digests; one writer a format (transfers_csv, accounts_csv, *_journal)
book_at_cut       what a writer reads, a page at a time
account_names     what an account is called
due_poster        the agent that posts what is due
"""
