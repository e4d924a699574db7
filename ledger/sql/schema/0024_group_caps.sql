-- A grant may be refused for the cap of a group, such as a store: outcome 10. In ledger.cap_use a customer below 0 is a group.

ALTER DOMAIN ledger.outcome DROP CONSTRAINT outcome_is_known;

ALTER DOMAIN ledger.outcome ADD CONSTRAINT outcome_is_known CHECK (VALUE IN (1, 2, 3, 4, 6, 7, 10)) NOT VALID;
