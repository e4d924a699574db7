-- What is still to be taken back of a grant is no more than the redemptions of its customer have of it, and of such a redemption the
-- layers that posting keeps add up to its accounts.

SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg(checked.what) FILTER (WHERE checked.wrong)
FROM (
    SELECT
        'customer ' || shortfall.customer AS what,
        NOT head.owing OR shortfall.points > coalesce((
            SELECT sum(piece.amount)
            FROM ledger.redemption_layer AS piece
            JOIN ledger.redemption
                ON redemption.book_id = $1 AND redemption.id = ledger.account_number_v1(piece.account)
            WHERE piece.book_id = $1 AND piece.layer = shortfall.layer AND redemption.customer = shortfall.customer
        ), 0) AS wrong
    FROM ledger.shortfall
    JOIN ledger.head ON head.book_id = $1
    WHERE shortfall.book_id = $1 AND shortfall.points > 0
    UNION ALL
    SELECT
        'account ' || encode(account.id, 'hex'),
        account.credits - account.debits <> coalesce((
            SELECT sum(piece.amount)
            FROM ledger.redemption_layer AS piece
            WHERE piece.book_id = $1 AND piece.account = account.id
        ), 0)
    FROM (
        SELECT DISTINCT ledger.account_number_v1(piece.account) AS id FROM ledger.redemption_layer AS piece WHERE piece.book_id = $1
    ) AS owing
    JOIN ledger.account
        ON account.book_id = $1
        AND account.id >= ledger.account_owner_v1(3, owing.id) || '\x30'::bytea
        AND account.id < ledger.account_owner_v1(3, owing.id) || '\x50'::bytea
) AS checked
