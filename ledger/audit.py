"""The audit: every invariant of a book, recomputed from its tables alone.

Each check is one statement, so it is of one instant even while writers run. Together they read the whole log: on a large book
run it with a connection of its own, or on a replica.

    seq_has_no_gaps                    1, 2, 3 ... up to the head's
    posted_at_never_runs_back          in the order of seq
    balances_equal_the_log             each account's sums are those of its transfers, and there is no other account
    debits_equal_credits               over all accounts
    no_account_below_its_floor         lots, pending, held, spent and budgets, from the log
    issued_within_the_limit            issuance has not paid out more than the brand authorized
    account_columns_equal_its_id       kind and last day
    one_transfer_an_event              a granted event has one grant of its points, and no grant lacks its event; what was held
                                       back matured once, or was rejected once
    what_moved_nothing_has_a_place     refused and waiting events are numbered in the order in which they were decided
    caps_count_real_grants             a cap counts no more than the customer, or all customers, were granted in its campaign
    pending_rows_equal_the_accounts    the sum of what is held back is the account's balance
    customer_states_equal_the_accounts points, soonest last day and soonest deadline are those of lots and open holds
    redemptions_close_when_empty       an open redemption holds points, a closed one none
    redemptions_begin_in_the_log       each is of the customer of its authorization, or of whom she was merged into, and has its
                                       deadline, and none is missing
    redemptions_add_up                 refunded <= captured <= authorized
    redemption_steps_are_in_the_log    what is said about a capture or refund is said of one of that redemption
    merged_customers_have_nothing      who was merged is frozen, has no points, holds or redemptions, and names one who was not
    survivors_count_whom_they_absorbed as many as name them
    merges_move_everything             what leaves a wallet reaches whom it was merged into then, with the same class and last
                                       day; nothing stays in transit
    splits_give_back_what_was_brought  to whom it was brought by, from whom she was part of up to then, with the same class and
                                       last day, and no more of it
    spells_say_who_was_part_of_whom    one after the other; the last is open for who is merged now, and for nobody else; in one
                                       nothing happens to a wallet but the merge that begins it
    cuts_lie_in_the_log                no cut is ahead of its book
    imports_are_in_the_log             each file opened as many lots and points as it is down with, and no lot came without one
    details_equal_their_hash           what an event says was reported is what the log committed to
    redemption_details_equal_their_hash  the same of orders, values and tills
    redemption_steps_equal_their_hash  the same of what was said about captures and refunds, and none is forgotten
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg

from ledger.engine import grants, redemptions
from ledger.types import Book, EventDetails, Finding

_PAGE = 5_000
_EXAMPLES = 5

# Each statement returns (checked, violations, examples).
_CHECKS = {
    "seq_has_no_gaps": """
        SELECT head.seq, abs(head.seq - log.transfers) + abs(head.seq - log.last), ARRAY[]::text[]
        FROM ledger.head
        CROSS JOIN LATERAL (
            SELECT count(*) AS transfers, coalesce(max(transfer.seq), 0) AS last
            FROM ledger.transfer WHERE transfer.book_id = head.book_id
        ) AS log
        WHERE head.book_id = $1
    """,
    "posted_at_never_runs_back": """
        SELECT count(*), count(*) FILTER (WHERE step.posted_at < step.before),
            array_agg('seq ' || step.seq) FILTER (WHERE step.posted_at < step.before)
        FROM (
            SELECT transfer.seq, transfer.posted_at, lag(transfer.posted_at) OVER (ORDER BY transfer.seq) AS before
            FROM ledger.transfer WHERE transfer.book_id = $1
        ) AS step
    """,
    "balances_equal_the_log": """
        SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
            array_agg(encode(both_sides.id, 'hex')) FILTER (WHERE both_sides.differs)
        FROM (
            SELECT
                coalesce(account.id, log.id) AS id,
                coalesce(account.debits, 0) <> coalesce(log.debits, 0)
                    OR coalesce(account.credits, 0) <> coalesce(log.credits, 0) AS differs
            FROM (SELECT * FROM ledger.account WHERE account.book_id = $1) AS account
            FULL JOIN (
                SELECT side.id, sum(side.debits)::bigint AS debits, sum(side.credits)::bigint AS credits
                FROM (
                    SELECT transfer.debit AS id, transfer.amount AS debits, 0 AS credits
                    FROM ledger.transfer WHERE transfer.book_id = $1
                    UNION ALL
                    SELECT transfer.credit, 0, transfer.amount FROM ledger.transfer WHERE transfer.book_id = $1
                ) AS side
                GROUP BY side.id
            ) AS log ON log.id = account.id
        ) AS both_sides
    """,
    "debits_equal_credits": """
        SELECT count(*), (coalesce(sum(account.debits), 0) <> coalesce(sum(account.credits), 0))::integer::bigint,
            ARRAY[]::text[]
        FROM ledger.account WHERE account.book_id = $1
    """,
    "no_account_below_its_floor": """
        SELECT count(*), count(*) FILTER (WHERE log.balance < 0),
            array_agg(encode(log.id, 'hex')) FILTER (WHERE log.balance < 0)
        FROM (
            SELECT side.id, sum(side.points) AS balance
            FROM (
                SELECT transfer.debit AS id, -transfer.amount AS points
                FROM ledger.transfer WHERE transfer.book_id = $1
                UNION ALL
                SELECT transfer.credit, transfer.amount FROM ledger.transfer WHERE transfer.book_id = $1
            ) AS side
            WHERE get_byte(side.id, 11) >> 4 BETWEEN 1 AND 5
            GROUP BY side.id
        ) AS log
    """,
    "issued_within_the_limit": """
        SELECT 1, (coalesce(sum(transfer.amount), 0) > (SELECT head.issue_limit FROM ledger.head WHERE head.book_id = $1)
            )::integer::bigint, ARRAY[]::text[]
        FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb = 1
    """,
    "account_columns_equal_its_id": """
        SELECT count(*), count(*) FILTER (WHERE wrong), array_agg(encode(checked.id, 'hex')) FILTER (WHERE wrong)
        FROM (
            SELECT account.id, account.kind <> ledger.account_kind_v1(account.id)
                OR account.expires_on <> ledger.account_expires_on_v1(account.id) AS wrong
            FROM ledger.account WHERE account.book_id = $1
        ) AS checked
    """,
    "one_transfer_an_event": """
        SELECT count(*), count(*) FILTER (WHERE pair.wrong), array_agg(encode(pair.key, 'hex')) FILTER (WHERE pair.wrong)
        FROM (
            SELECT
                coalesce(event.key, posted.event_key) AS key,
                event.key IS NULL OR posted.event_key IS NULL OR posted.transfers <> 1 OR posted.seq <> event.seq
                    OR posted.customer <> event.customer
                    OR event.points <> CASE event.outcome WHEN 7 THEN 0 ELSE posted.amount END
                    OR posted.settled IS DISTINCT FROM CASE
                        WHEN posted.verb = 2 OR event.outcome = 6 THEN NULL
                        ELSE posted.amount * CASE event.outcome WHEN 1 THEN 1 ELSE -1 END
                    END
                    OR (posted.verb = 2 AND event.outcome <> 1) AS wrong
            FROM (SELECT * FROM ledger.event WHERE event.book_id = $1 AND event.outcome IN (1, 6, 7)) AS event
            FULL JOIN (
                SELECT transfer.campaign_no, transfer.event_key,
                    count(*) FILTER (WHERE transfer.verb IN (2, 3)) AS transfers,
                    sum(transfer.amount) FILTER (WHERE transfer.verb IN (2, 3)) AS amount,
                    min(transfer.seq) AS seq, min(transfer.customer) FILTER (WHERE transfer.verb IN (2, 3)) AS customer,
                    min(transfer.verb) AS verb,
                    sum(CASE transfer.verb WHEN 4 THEN transfer.amount WHEN 5 THEN -transfer.amount END) AS settled
                FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb BETWEEN 2 AND 5
                GROUP BY transfer.campaign_no, transfer.event_key
            ) AS posted ON posted.campaign_no = event.campaign_no AND posted.event_key = event.key
        ) AS pair
    """,
    "what_moved_nothing_has_a_place": """
        SELECT count(*), count(*) FILTER (WHERE placed.wrong), array_agg(encode(placed.key, 'hex')) FILTER (WHERE placed.wrong)
        FROM (
            SELECT event.key,
                (event.outcome IN (2, 3, 4)) <> (event.place IS NOT NULL) OR event.place > head.places
                    OR (event.outcome <> 4 AND event.terms IS NOT NULL)
                    OR event.place = lag(event.place) OVER by_place
                    OR (event.place IS NOT NULL AND event.seq < lag(event.seq) OVER by_place) AS wrong
            FROM ledger.event
            JOIN ledger.head ON head.book_id = event.book_id
            WHERE event.book_id = $1 AND (event.place IS NOT NULL OR event.outcome <> 1)
            WINDOW by_place AS (PARTITION BY event.place IS NULL ORDER BY event.place)
        ) AS placed
    """,
    "caps_count_real_grants": """
        SELECT count(*), count(*) FILTER (WHERE used.wrong), array_agg('customer ' || used.customer) FILTER (WHERE used.wrong)
        FROM (
            SELECT counted.customer, counted.grants > coalesce(granted.grants, 0)
                OR counted.points > coalesce(granted.points, 0) AS wrong
            FROM (
                SELECT cap_use.campaign_no, cap_use.customer, cap_use.grants, cap_use.points
                FROM ledger.cap_use WHERE cap_use.book_id = $1
                UNION ALL
                SELECT cap_recent.campaign_no, cap_recent.customer, cardinality(cap_recent.counted_at),
                    (SELECT coalesce(sum(points), 0) FROM unnest(cap_recent.points) AS points)
                FROM ledger.cap_recent WHERE cap_recent.book_id = $1
            ) AS counted
            LEFT JOIN (
                SELECT event.campaign_no, event.customer, count(*) AS grants, sum(event.points) AS points
                FROM ledger.event WHERE event.book_id = $1 AND event.outcome IN (1, 6)
                GROUP BY GROUPING SETS ((event.campaign_no, event.customer), (event.campaign_no))
            ) AS granted ON granted.campaign_no = counted.campaign_no AND coalesce(granted.customer, 0) = counted.customer
        ) AS used
    """,
    "pending_rows_equal_the_accounts": """
        SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
            array_agg('customer ' || both_sides.customer) FILTER (WHERE both_sides.differs)
        FROM (
            SELECT coalesce(held_back.customer, account.customer) AS customer,
                coalesce(held_back.amount, 0) <> coalesce(account.balance, 0) AS differs
            FROM (
                SELECT pending.customer, sum(pending.amount) AS amount
                FROM ledger.pending WHERE pending.book_id = $1 GROUP BY pending.customer
            ) AS held_back
            FULL JOIN (
                SELECT ('x' || encode(substring(account.id FROM 4 FOR 8), 'hex'))::bit(64)::bigint AS customer,
                    sum(account.credits - account.debits) AS balance
                FROM ledger.account WHERE account.book_id = $1 AND account.kind = 2 GROUP BY 1
            ) AS account ON account.customer = held_back.customer
        ) AS both_sides
    """,
    "customer_states_equal_the_accounts": """
        SELECT count(*), count(*) FILTER (WHERE both_sides.differs),
            array_agg('customer ' || both_sides.customer) FILTER (WHERE both_sides.differs)
        FROM (
            SELECT coalesce(state.customer, lot.customer, hold.customer) AS customer,
                coalesce(state.points, 0) <> coalesce(lot.points, 0)
                    OR coalesce(state.lot_until, 'infinity') <> coalesce(lot.until, 'infinity')
                    OR coalesce(state.hold_until, 'infinity') <> coalesce(hold.until, 'infinity') AS differs
            FROM (SELECT * FROM ledger.customer_state WHERE customer_state.book_id = $1) AS state
            FULL JOIN (
                SELECT ('x' || encode(substring(account.id FROM 4 FOR 8), 'hex'))::bit(64)::bigint AS customer,
                    sum(account.credits - account.debits) AS points, min(account.expires_on) AS until
                FROM ledger.account
                WHERE account.book_id = $1 AND account.kind = 1 AND account.credits > account.debits
                GROUP BY 1
            ) AS lot ON lot.customer = state.customer
            FULL JOIN (
                SELECT redemption.customer, min(redemption.deadline) AS until
                FROM ledger.redemption WHERE redemption.book_id = $1 AND redemption.closed_at IS NULL
                GROUP BY redemption.customer
            ) AS hold ON hold.customer = coalesce(state.customer, lot.customer)
        ) AS both_sides
    """,
    "redemptions_close_when_empty": """
        SELECT count(*), count(*) FILTER (WHERE (sums.held > 0) <> (redemption.closed_at IS NULL)),
            array_agg('redemption ' || redemption.id) FILTER (WHERE (sums.held > 0) <> (redemption.closed_at IS NULL))
        FROM ledger.redemption
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(account.credits - account.debits), 0) AS held
            FROM ledger.account
            WHERE account.book_id = redemption.book_id
                AND account.id >= ledger.account_owner_v1(3, redemption.id) || '\\x30'::bytea
                AND account.id < ledger.account_owner_v1(3, redemption.id) || '\\x40'::bytea
        ) AS sums
        WHERE redemption.book_id = $1
    """,
    "redemptions_begin_in_the_log": """
        SELECT count(*), count(*) FILTER (WHERE pair.wrong), array_agg('redemption ' || pair.id) FILTER (WHERE pair.wrong)
        FROM (
            SELECT coalesce(redemption.id, begun.seq) AS id,
                redemption.id IS NULL OR begun.seq IS NULL OR redemption.customer <> begun.customer
                    OR redemption.deadline <> begun.due_at AS wrong
            FROM (SELECT * FROM ledger.redemption WHERE redemption.book_id = $1) AS redemption
            FULL JOIN (
                SELECT transfer.seq, coalesce(state.moved_to, transfer.customer) AS customer, transfer.due_at
                FROM ledger.transfer
                LEFT JOIN ledger.customer_state AS state
                    ON state.book_id = transfer.book_id AND state.customer = transfer.customer
                WHERE transfer.book_id = $1 AND transfer.verb = 6
                    AND coalesce(transfer.transaction_id, transfer.seq) = transfer.seq
            ) AS begun ON begun.seq = redemption.id
        ) AS pair
    """,
    "redemptions_add_up": """
        SELECT count(*), count(*) FILTER (WHERE wrong), array_agg('redemption ' || summed.id) FILTER (WHERE wrong)
        FROM (
            SELECT redemption.id, NOT (sums.refunded <= sums.captured AND sums.captured <= sums.authorized
                AND sums.authorized > 0) AS wrong
            FROM ledger.redemption
            CROSS JOIN LATERAL (
                SELECT
                    coalesce(sum(account.credits) FILTER (WHERE account.kind = 3), 0) AS authorized,
                    coalesce(sum(account.credits) FILTER (WHERE account.kind = 4), 0) AS captured,
                    coalesce(sum(account.debits) FILTER (WHERE account.kind = 4), 0) AS refunded
                FROM ledger.account
                WHERE account.book_id = redemption.book_id
                    AND account.id >= ledger.account_owner_v1(3, redemption.id) || '\\x30'::bytea
                    AND account.id < ledger.account_owner_v1(3, redemption.id) || '\\x50'::bytea
            ) AS sums
            WHERE redemption.book_id = $1
        ) AS summed
    """,
    "redemption_steps_are_in_the_log": """
        SELECT count(*), count(*) FILTER (WHERE posted.seq IS NULL),
            array_agg('seq ' || step.seq) FILTER (WHERE posted.seq IS NULL)
        FROM ledger.redemption_step AS step
        LEFT JOIN ledger.transfer AS posted
            ON posted.book_id = step.book_id AND posted.seq = step.seq
            AND coalesce(posted.transaction_id, posted.seq) = step.seq
            AND posted.verb IN (7, 9)
            AND substring(posted.debit FROM 1 FOR 11) = ledger.account_owner_v1(3, step.redemption)
        WHERE step.book_id = $1
    """,
    "merged_customers_have_nothing": """
        SELECT count(*), count(*) FILTER (WHERE checked.wrong),
            array_agg('customer ' || checked.customer) FILTER (WHERE checked.wrong)
        FROM (
            SELECT merged.customer, NOT merged.frozen OR survivor.customer IS NULL OR survivor.moved_to IS NOT NULL
                OR EXISTS (
                    SELECT FROM ledger.account
                    WHERE account.book_id = $1 AND account.credits > account.debits
                        AND account.id >= ledger.account_owner_v1(1, merged.customer) || '\\x10'::bytea
                        AND account.id < ledger.account_owner_v1(1, merged.customer) || '\\x30'::bytea
                )
                OR EXISTS (
                    SELECT FROM ledger.redemption WHERE redemption.book_id = $1 AND redemption.customer = merged.customer
                )
                OR EXISTS (
                    SELECT FROM ledger.pending WHERE pending.book_id = $1 AND pending.customer = merged.customer
                ) AS wrong
            FROM ledger.customer_state AS merged
            LEFT JOIN ledger.customer_state AS survivor
                ON survivor.book_id = merged.book_id AND survivor.customer = merged.moved_to
            WHERE merged.book_id = $1 AND merged.moved_to IS NOT NULL
        ) AS checked
    """,
    "survivors_count_whom_they_absorbed": """
        SELECT count(*), count(*) FILTER (WHERE state.absorbed <> coalesce(merged.customers, 0)),
            array_agg('customer ' || state.customer) FILTER (WHERE state.absorbed <> coalesce(merged.customers, 0))
        FROM ledger.customer_state AS state
        LEFT JOIN (
            SELECT each.moved_to, count(*) AS customers
            FROM ledger.customer_state AS each WHERE each.book_id = $1 AND each.moved_to IS NOT NULL GROUP BY each.moved_to
        ) AS merged ON merged.moved_to = state.customer
        WHERE state.book_id = $1
    """,
    "merges_move_everything": """
        SELECT count(*), count(*) FILTER (WHERE merge.wrong), array_agg('seq ' || merge.id) FILTER (WHERE merge.wrong)
        FROM (
            SELECT part.id, bool_or(
                part.losers <> 1 OR part.points_out <> part.points_in OR NOT EXISTS (
                    SELECT FROM ledger.spell
                    WHERE spell.book_id = $1 AND spell.customer = part.loser AND spell.from_seq = part.id - 1
                        AND (spell.survivor = part.survivor OR EXISTS (
                            -- Of a merge from before spells were kept only the last of the line is known.
                            SELECT FROM ledger.spell AS later
                            WHERE later.book_id = $1 AND later.customer = part.survivor AND later.survivor = spell.survivor
                        ))
                )
            ) AS wrong
            FROM (
                SELECT
                    leg.id, count(DISTINCT leg.customer) FILTER (WHERE leg.leaves) AS losers,
                    coalesce(sum(leg.amount) FILTER (WHERE leg.leaves), 0) AS points_out,
                    coalesce(sum(leg.amount) FILTER (WHERE NOT leg.leaves), 0) AS points_in,
                    min(leg.customer) FILTER (WHERE leg.leaves) AS loser,
                    min(leg.customer) FILTER (WHERE NOT leg.leaves) AS survivor
                FROM (
                    SELECT
                        coalesce(transfer.transaction_id, transfer.seq) AS id, transfer.customer, transfer.amount, side.leaves,
                        substring(side.account FROM 12) AS kind_class_and_last_day
                    FROM ledger.transfer
                    CROSS JOIN LATERAL (
                        SELECT get_byte(transfer.debit, 0) = 1 AS leaves,
                            CASE get_byte(transfer.debit, 0) WHEN 1 THEN transfer.debit ELSE transfer.credit END AS account
                    ) AS side
                    WHERE transfer.book_id = $1 AND transfer.verb = 13
                ) AS leg
                GROUP BY leg.id, leg.kind_class_and_last_day
            ) AS part
            GROUP BY part.id
            UNION ALL
            SELECT 0, true
            FROM ledger.account WHERE account.book_id = $1 AND account.kind = 12 AND account.debits <> account.credits
        ) AS merge
    """,
    "splits_give_back_what_was_brought": """
        SELECT count(*), count(*) FILTER (WHERE split.wrong), array_agg(split.what) FILTER (WHERE split.wrong)
        FROM (
            SELECT 'seq ' || part.id AS what, bool_or(
                part.customers <> 1 OR part.survivors <> 1 OR part.points_out <> part.points_in
                OR part.points_in > brought.points
                OR NOT EXISTS (
                    SELECT FROM ledger.spell
                    WHERE spell.book_id = $1 AND spell.customer = part.customer AND spell.survivor = part.survivor
                        AND spell.until_seq = part.id - 1 AND spell.points_returned IS NOT NULL
                )
            ) AS wrong
            FROM (
                SELECT
                    leg.id, leg.kind_class_and_last_day,
                    count(DISTINCT leg.customer) FILTER (WHERE leg.leaves) AS survivors,
                    count(DISTINCT leg.customer) FILTER (WHERE NOT leg.leaves) AS customers,
                    coalesce(sum(leg.amount) FILTER (WHERE leg.leaves), 0) AS points_out,
                    coalesce(sum(leg.amount) FILTER (WHERE NOT leg.leaves), 0) AS points_in,
                    min(leg.customer) FILTER (WHERE leg.leaves) AS survivor,
                    min(leg.customer) FILTER (WHERE NOT leg.leaves) AS customer
                FROM (
                    SELECT
                        coalesce(transfer.transaction_id, transfer.seq) AS id, transfer.customer, transfer.amount, side.leaves,
                        substring(side.account FROM 12) AS kind_class_and_last_day
                    FROM ledger.transfer
                    CROSS JOIN LATERAL (
                        SELECT get_byte(transfer.debit, 0) = 1 AS leaves,
                            CASE get_byte(transfer.debit, 0) WHEN 1 THEN transfer.debit ELSE transfer.credit END AS account
                    ) AS side
                    WHERE transfer.book_id = $1 AND transfer.verb = 15
                ) AS leg
                GROUP BY leg.id, leg.kind_class_and_last_day
            ) AS part
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(merged.amount), 0) AS points
                FROM ledger.transfer AS merged
                WHERE merged.book_id = $1 AND merged.customer = part.customer AND merged.verb = 13
                    AND merged.debit = ledger.account_owner_v1(1, part.customer) || part.kind_class_and_last_day
                    AND coalesce(merged.transaction_id, merged.seq) = (
                        SELECT max(coalesce(merge.transaction_id, merge.seq)) FROM ledger.transfer AS merge
                        WHERE merge.book_id = $1 AND merge.customer = part.customer AND merge.verb = 13 AND merge.seq < part.id
                            AND get_byte(merge.debit, 0) = 1
                    )
            ) AS brought
            GROUP BY part.id
            UNION ALL
            SELECT 'customer ' || spell.customer, spell.points_returned <> coalesce((
                SELECT sum(returned.amount) FROM ledger.transfer AS returned
                WHERE returned.book_id = $1 AND returned.customer = spell.customer AND returned.verb = 15
                    AND coalesce(returned.transaction_id, returned.seq) = spell.until_seq + 1
                    AND substring(returned.credit FROM 1 FOR 11) = ledger.account_owner_v1(1, spell.customer)
                    AND get_byte(returned.credit, 11) >> 4 = 1
            ), 0)
            FROM ledger.spell
            WHERE spell.book_id = $1 AND spell.points_returned IS NOT NULL
            UNION ALL
            SELECT 'customer ' || brought.customer, brought.amount > coalesce((
                SELECT sum(merged.amount) FROM ledger.transfer AS merged
                WHERE merged.book_id = $1 AND merged.customer = brought.customer AND merged.verb = 13
                    AND merged.debit = ledger.account_owner_v1(1, brought.customer) || brought.lot
            ), 0) OR state.moved_to IS NULL
            FROM ledger.brought
            LEFT JOIN ledger.customer_state AS state ON state.book_id = $1 AND state.customer = brought.customer
            WHERE brought.book_id = $1
        ) AS split
    """,
    "spells_say_who_was_part_of_whom": """
        SELECT count(*), count(*) FILTER (WHERE checked.wrong),
            array_agg('customer ' || checked.customer) FILTER (WHERE checked.wrong)
        FROM (
            SELECT
                spell.customer,
                spell.spell_no <> row_number() OVER hers
                    OR coalesce(
                        lag(coalesce(spell.until_seq, 9223372036854775807)) OVER hers > spell.from_seq
                            OR lag(coalesce(spell.until_place, 9223372036854775807)) OVER hers > spell.from_place,
                        false)
                    OR coalesce(spell.until_seq, spell.from_seq) > head.seq
                    OR EXISTS (
                        SELECT FROM ledger.spell AS other
                        WHERE other.book_id = $1 AND other.customer = spell.survivor
                            AND other.from_seq < coalesce(spell.until_seq, 9223372036854775807)
                            AND coalesce(other.until_seq, 9223372036854775807) > spell.from_seq
                    )
                    OR EXISTS (
                        SELECT FROM ledger.transfer
                        WHERE transfer.book_id = $1 AND transfer.customer = spell.customer AND transfer.seq > spell.from_seq
                            AND transfer.seq <= coalesce(spell.until_seq, 9223372036854775807)
                            AND (transfer.verb <> 13 OR coalesce(transfer.transaction_id, transfer.seq) <> spell.from_seq + 1)
                    ) AS wrong
            FROM ledger.spell
            JOIN ledger.head ON head.book_id = spell.book_id
            WHERE spell.book_id = $1
            WINDOW hers AS (PARTITION BY spell.customer ORDER BY spell.spell_no)
            UNION ALL
            SELECT coalesce(state.customer, spell.customer), state.moved_to IS DISTINCT FROM spell.survivor
            FROM (
                SELECT * FROM ledger.customer_state WHERE customer_state.book_id = $1 AND customer_state.moved_to IS NOT NULL
            ) AS state
            FULL JOIN (SELECT * FROM ledger.spell WHERE spell.book_id = $1 AND spell.until_seq IS NULL) AS spell
                ON spell.customer = state.customer
        ) AS checked
    """,
    "imports_are_in_the_log": """
        SELECT count(*), count(*) FILTER (WHERE checked.wrong), array_agg('seq ' || checked.seq) FILTER (WHERE checked.wrong)
        FROM (
            SELECT coalesce(imported.first_seq, opened.first_seq) AS seq,
                (imported.lots, imported.points) IS DISTINCT FROM (opened.lots, opened.points) AS wrong
            FROM (SELECT * FROM ledger.balance_import WHERE balance_import.book_id = $1) AS imported
            FULL JOIN (
                SELECT
                    coalesce(transfer.transaction_id, transfer.seq) AS first_seq, count(*) AS lots,
                    sum(transfer.amount) AS points
                FROM ledger.transfer WHERE transfer.book_id = $1 AND transfer.verb = 14
                GROUP BY coalesce(transfer.transaction_id, transfer.seq)
            ) AS opened ON opened.first_seq = imported.first_seq
        ) AS checked
    """,
    "cuts_lie_in_the_log": """
        SELECT count(*), count(*) FILTER (WHERE cut.seq > head.seq), array_agg(cut.name) FILTER (WHERE cut.seq > head.seq)
        FROM ledger.cut
        JOIN ledger.head ON head.book_id = cut.book_id
        WHERE cut.book_id = $1
    """,
}

# Each statement returns pages of (seq, hash in the log, salt, details ...). Erased details have no salt; the hash in the log
# then proves nothing, and need not.
_EVENT_DETAILS = """
    SELECT
        transfer.seq, transfer.details_hash, event.salt, event.action, event.channel, event.message_id,
        coalesce(event.qualifier, ''), event.source, event.principal, event.campaign_version, event.rule, event.metadata
    FROM ledger.transfer
    JOIN ledger.event
        ON event.book_id = transfer.book_id AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    WHERE transfer.book_id = $1 AND transfer.verb IN (2, 3) AND transfer.seq > $2
    ORDER BY transfer.seq
    LIMIT $3
"""
_REDEMPTION_DETAILS = """
    SELECT
        transfer.seq, transfer.details_hash, redemption.salt, redemption.order_ref, redemption.value, redemption.store_id,
        redemption.terminal_id
    FROM ledger.transfer
    JOIN ledger.redemption
        ON redemption.book_id = transfer.book_id AND redemption.id = coalesce(transfer.transaction_id, transfer.seq)
    WHERE transfer.book_id = $1 AND transfer.verb = 6 AND transfer.seq > $2
    ORDER BY transfer.seq
    LIMIT $3
"""

# A capture that was part of its authorization is said to be what that is; a hash that nobody explains has an empty salt.
_STEP_DETAILS = """
    SELECT
        transfer.seq, transfer.details_hash, CASE WHEN step.seq IS NULL THEN '\\x' ELSE step.salt END, step.ref, step.store_id,
        step.terminal_id
    FROM ledger.transfer
    LEFT JOIN ledger.redemption_step AS step
        ON step.book_id = transfer.book_id AND step.seq = coalesce(transfer.transaction_id, transfer.seq)
    WHERE transfer.book_id = $1 AND transfer.verb IN (7, 9) AND transfer.seq > $2
        AND (transfer.details_hash IS NOT NULL OR step.seq IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM ledger.redemption
            WHERE redemption.book_id = $1 AND redemption.id = coalesce(transfer.transaction_id, transfer.seq)
        )
    ORDER BY transfer.seq
    LIMIT $3
"""


async def audit(connection: asyncpg.Connection[Any], book: Book) -> list[Finding]:
    """Check every invariant of a book; a finding with violations names up to five of them. The reader's role is enough."""
    findings = [await _check(connection, invariant, statement, book) for invariant, statement in _CHECKS.items()]
    return [
        *findings,
        await _check_details(connection, "details_equal_their_hash", _EVENT_DETAILS, _event_hash, book),
        await _check_details(
            connection, "redemption_details_equal_their_hash", _REDEMPTION_DETAILS, redemptions.details_hash, book
        ),
        await _check_details(connection, "redemption_steps_equal_their_hash", _STEP_DETAILS, redemptions.step_hash, book),
    ]


async def _check(connection: asyncpg.Connection[Any], invariant: str, statement: str, book: Book) -> Finding:
    row = await connection.fetchrow(statement, book.book_id)
    checked, violations, examples = row if row is not None else (0, 1, ["the book has no head"])
    return Finding(invariant, checked, violations, tuple((examples or [])[:_EXAMPLES]))


async def _check_details(
    connection: asyncpg.Connection[Any], invariant: str, statement: str, hash_of: Callable[..., bytes], book: Book
) -> Finding:
    checked = 0
    wrong: list[str] = []
    async for seq, in_the_log, salt, *details in _pages(connection, statement, book):
        checked += 1
        if salt is not None and hash_of(salt, *details) != in_the_log:
            wrong.append(f"seq {seq}")
    return Finding(invariant, checked, len(wrong), tuple(wrong[:_EXAMPLES]))


async def _pages(connection: asyncpg.Connection[Any], statement: str, book: Book) -> AsyncIterator[Any]:
    after = 0
    while rows := await connection.fetch(statement, book.book_id, after, _PAGE):
        for row in rows:
            yield row
        after = rows[-1]["seq"]


def _event_hash(salt: bytes, *details: Any) -> bytes:
    return grants.details_hash(salt, EventDetails(*details))
