-- Arrays that a caller has written in their binary form itself: see ledger/arrays.py. To the database they are what they are of.

CREATE DOMAIN ledger.smallints AS smallint[];
CREATE DOMAIN ledger.integers  AS integer[];
CREATE DOMAIN ledger.bigints   AS bigint[];
CREATE DOMAIN ledger.booleans  AS boolean[];
CREATE DOMAIN ledger.chars     AS "char"[];
CREATE DOMAIN ledger.texts     AS text[];
CREATE DOMAIN ledger.byteas    AS bytea[];
CREATE DOMAIN ledger.dates     AS date[];
CREATE DOMAIN ledger.moments   AS timestamptz[];
