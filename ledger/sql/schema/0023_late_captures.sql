-- Late captures: a hold that has timed out may still be captured for a while, of what its customer has then.

-- What became of a redemption after its hold timed out: 1 captured, and it may be again; 2 captured for good; 3 voided. NULL: nothing.
CREATE DOMAIN ledger.since_time_out AS smallint;

ALTER TABLE ledger.redemption ADD COLUMN since_time_out ledger.since_time_out;

ALTER DOMAIN ledger.since_time_out ADD CONSTRAINT since_time_out_is_known CHECK (VALUE BETWEEN 1 AND 3) NOT VALID;
