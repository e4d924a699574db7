-- Who may call what. Run after every function file: what is not granted here is nobody's but the owner's.

DO $rights$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN SELECT proc.oid FROM pg_catalog.pg_proc AS proc WHERE proc.pronamespace = 'ledger'::regnamespace
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO ledger_owner', v_function);
        EXECUTE pg_catalog.format(
            'REVOKE ALL ON FUNCTION %s FROM PUBLIC, rewards_application, rewards_worker, rewards_reader', v_function
        );
    END LOOP;
END
$rights$;

-- Reading: expressions and look-ups that run with the caller's own rights.
GRANT EXECUTE ON FUNCTION
    ledger.kind_v1, ledger.verb_v1, ledger.operation_v1, ledger.grant_outcome_v1, ledger.settle_outcome_v1,
    ledger.redemption_outcome_v1, ledger.fund_outcome_v1, ledger.merge_outcome_v1, ledger.split_outcome_v1, ledger.erase_outcome_v1,
    ledger.clock_outcome_v1, ledger.claw_back_outcome_v1, ledger.return_outcome_v1, ledger.adjust_outcome_v1,
    ledger.instant_outcome_v1, ledger.close_outcome_v1, ledger.close_state_v1,
    ledger.account_kind_v1, ledger.account_class_v1, ledger.account_expires_on_v1, ledger.account_with_kind_v1,
    ledger.account_owner_v1, ledger.house_owner_v1, ledger.customer_owner_v1, ledger.campaign_owner_v1, ledger.redemption_owner_v1,
    ledger.accounts_from_v1, ledger.account_id_v1, ledger.account_id_v2,
    ledger.open_holds_v1, ledger.spendable_v1, ledger.redemption_v1, ledger.redemptions_v1, ledger.redemptions_now_v1,
    ledger.redemption_status_v1, ledger.redemption_sums_v1, ledger.rfc3339_v1,
    ledger.account_number_v1, ledger.account_kind_name_v1, ledger.account_class_name_v1, ledger.account_last_day_v1,
    ledger.account_name_v1, ledger.account_line_v1, ledger.account_lines_v1, ledger.account_sums_v1, ledger.log_lines_v1,
    ledger.balances_v1, ledger.spendable_now_v1, ledger.survivor_at_v1, ledger.were_one_v1,
    ledger.microseconds_v1, ledger.cap_counts_v1, ledger.counted_for_v1, ledger.quote_grants_v1, ledger.zone_offsets_v1,
    ledger.accounting_date_v1, ledger.fell_due_on_v1, ledger.transfer_verb_v1, ledger.held_back_v1, ledger.merged_into_v1, ledger.outcome_at_v1,
    ledger.seq_at_v1, ledger.fell_due_v1, ledger.is_settled_v1,
    ledger.offer_notice_v1, ledger.owes_v1, ledger.redemption_layers_v1, ledger.due_claw_backs_v1, ledger.clawed_back_when_due_v1, ledger.earned_v1, ledger.return_terms_v1
TO rewards_application, rewards_worker, rewards_reader;

-- Posting.
GRANT EXECUTE ON FUNCTION
    ledger.post_grants_v1, ledger.settle_pending_v1, ledger.redeem_v1, ledger.redeem_v2, ledger.claw_back_v1, ledger.return_purchase_v1, ledger.adjust_v1, ledger.fund_v1, ledger.take_cut_v1, ledger.as_of_v1,
    ledger.advance_clock_v1, ledger.merge_customers_v1, ledger.split_customer_v1, ledger.align_customers_v1,
    ledger.begin_close_v1, ledger.store_close_v1, ledger.finish_close_v1, ledger.settle_close_v1, ledger.note_offers_v1
TO rewards_application, rewards_worker;

-- Tidying up.
GRANT EXECUTE ON FUNCTION ledger.sweep_v1, ledger.expire_v1, ledger.swept_through_v1 TO rewards_worker;

-- Deriving from the log which grant was spent.
GRANT EXECUTE ON FUNCTION ledger.keep_layers_v1, ledger.keep_movements_v1, ledger.clear_layers_v1 TO rewards_worker;

-- Erasing.
GRANT EXECUTE ON FUNCTION
    ledger.erase_customer_v1, ledger.erase_details_v1, ledger.erase_answers_v1, ledger.forget_answers_v1, ledger.forget_details_v1
TO rewards_worker;
