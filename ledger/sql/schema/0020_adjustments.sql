-- Adjustments: a customer is given or loses points, for a reason. note is what somebody wrote about it; it is erased with reference.

ALTER TABLE ledger.correction ADD COLUMN is_credit boolean NOT NULL DEFAULT false;

ALTER TABLE ledger.correction ADD COLUMN note text;

CREATE INDEX correction_adjusting_by_number ON ledger.correction (book_id, correction_no) WHERE verb = 12;

CREATE INDEX correction_adjusting_by_customer ON ledger.correction (book_id, customer, correction_no) WHERE verb = 12;

CREATE INDEX correction_adjusting_by_reason ON ledger.correction (book_id, reason, correction_no) WHERE verb = 12;
