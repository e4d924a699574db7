-- Who owns the book tables and who may read them. Nobody but the owner may write: all writing goes through
-- the SECURITY DEFINER functions, which are granted one by one in functions/rights.sql.

ALTER TABLE ledger.head OWNER TO ledger_owner;
ALTER TABLE ledger.account OWNER TO ledger_owner;
ALTER TABLE ledger.transfer OWNER TO ledger_owner;
ALTER TABLE ledger.event OWNER TO ledger_owner;
ALTER TABLE ledger.cap_use OWNER TO ledger_owner;
ALTER TABLE ledger.pending OWNER TO ledger_owner;
ALTER TABLE ledger.redemption OWNER TO ledger_owner;
ALTER TABLE ledger.idempotency_key OWNER TO ledger_owner;
ALTER TABLE ledger.customer_state OWNER TO ledger_owner;
ALTER TABLE ledger.cut OWNER TO ledger_owner;
ALTER TABLE ledger.cut_balance OWNER TO ledger_owner;

GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO rewards_application, rewards_worker;

-- A report needs no idempotency answers; everything else of the books is numbers and ids.
GRANT SELECT ON ledger.head, ledger.account, ledger.transfer, ledger.event, ledger.cap_use, ledger.pending,
    ledger.redemption, ledger.customer_state, ledger.cut, ledger.cut_balance TO rewards_reader;
