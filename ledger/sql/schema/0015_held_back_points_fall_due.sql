-- A customer's state knows when their held-back points fall due, as it knows of holds: hold_until is the soonest of both.

INSERT INTO ledger.customer_state AS state (book_id, customer, hold_until)
SELECT pending.book_id, pending.customer, min(pending.due_at)
FROM ledger.pending
GROUP BY pending.book_id, pending.customer
ON CONFLICT (book_id, customer) DO UPDATE SET hold_until = least(state.hold_until, excluded.hold_until);
