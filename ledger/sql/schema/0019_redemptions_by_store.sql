-- Lists of a store's redemptions. Those that name no store are not in it.

CREATE INDEX redemption_by_store ON ledger.redemption (book_id, store_id, id) WHERE store_id IS NOT NULL;
