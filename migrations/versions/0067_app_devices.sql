-- Erases what the look-ups hold of the customer of an erasure whose notice is over: all their numbers. Names become tombstones.
-- p_messages finds their clicks, p_points is what they had left. Returns whether it was done now.
-- Locks the erasure. The caller holds the brand's lock of merges, and has erased the customer in the book.
CREATE OR REPLACE FUNCTION rewards.erase_customer_v1(p_erasure_no bigint, p_messages bytea[], p_points bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_now         CONSTANT timestamptz := clock_timestamp();
    v_erasure     rewards.erasure;
    v_survivor    bigint;
    v_numbers     bigint[];
    v_identities  bigint[];
    v_consent_no  bigint;
BEGIN
    SELECT erasure.* INTO v_erasure
    FROM rewards.erasure WHERE erasure.erasure_no = p_erasure_no
    FOR NO KEY UPDATE;
    IF v_erasure.state IS DISTINCT FROM 'waiting' OR v_erasure.erases_at > v_now THEN
        RETURN false;
    END IF;
    SELECT coalesce(customer.merged_into, customer.customer) INTO v_survivor
    FROM rewards.customer WHERE customer.customer = v_erasure.customer;
    SELECT array_agg(customer.customer ORDER BY customer.customer <> v_survivor, customer.customer) INTO v_numbers
    FROM rewards.customer WHERE customer.customer = v_survivor OR customer.merged_into = v_survivor;

    UPDATE rewards.brand SET consent_no = brand.consent_no + 1 WHERE brand.brand_id = v_erasure.brand_id
    RETURNING brand.consent_no INTO v_consent_no;
    UPDATE rewards.customer
    SET erased_at = v_now, confirmed = false, verified = false, refused = NULL, consent_no = v_consent_no
    WHERE customer.customer = ANY (v_numbers);

    SELECT array_agg(identity.identity_no) INTO v_identities
    FROM rewards.identity WHERE identity.customer = ANY (v_numbers);
    INSERT INTO rewards.tombstone (mac, brand_id, key_no, erased_at)
    SELECT identity.mac, identity.brand_id, identity.key_no, v_now
    FROM rewards.identity WHERE identity.customer = ANY (v_numbers)
    ON CONFLICT (mac) DO UPDATE SET erased_at = excluded.erased_at;
    DELETE FROM rewards.identity WHERE identity.customer = ANY (v_numbers);
    UPDATE rewards.verification SET proof = NULL, reason = NULL WHERE verification.identity_no = ANY (v_identities);

    -- That something was said stays; where it was said is free text.
    UPDATE rewards.consent SET source = 'erased ' || consent.consent_no WHERE consent.customer = ANY (v_numbers);
    DELETE FROM rewards.preference WHERE preference.customer = ANY (v_numbers);
    UPDATE rewards.link SET message_id = '', label = '', revoked_at = coalesce(link.revoked_at, v_now)
    WHERE link.customer = ANY (v_numbers);
    DELETE FROM rewards.message WHERE message.customer = ANY (v_numbers);
    DELETE FROM rewards.offer WHERE offer.customer = ANY (v_numbers);
    DELETE FROM rewards.offer_message WHERE offer_message.customer = ANY (v_numbers);
    UPDATE rewards.answered_message SET message_id = NULL WHERE answered_message.customer = ANY (v_numbers);
    DELETE FROM rewards.app_device WHERE app_device.customer = ANY (v_numbers);
    DELETE FROM rewards.reply_text WHERE reply_text.customer = ANY (v_numbers);
    UPDATE rewards.approval SET body = '{}', key = '', note = NULL, result = NULL
    WHERE approval.customer = ANY (v_numbers) AND approval.kind <> 'customer.erase';

    UPDATE rewards.erasure SET state = 'erasing', numbers = v_numbers, messages = p_messages, points = p_points
    WHERE erasure.erasure_no = p_erasure_no;
    RETURN true;
END
$function$;

GRANT SELECT, INSERT, UPDATE (revoked_at, day, receipts, points, nonces) ON rewards.app_device TO rewards_application;
