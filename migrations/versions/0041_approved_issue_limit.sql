-- Sets how many points a brand may ever issue, as an approval says that was approved and not carried out. Returns 'set', also when
-- it is so already; 'changed' when the limit is not the one that was to be replaced, or less than was issued since; NULL when
-- there is no such approval. Writes to the books alone: that it is carried out is said in a transaction of its own.
-- Locks the book's head.
CREATE FUNCTION rewards.set_issue_limit_v1(p_approval_no bigint, p_now timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_brand_id  integer;
    v_book_id   integer;
    v_points    bigint;
    v_replaces  bigint;
    v_limit     bigint;
BEGIN
    SELECT brand.brand_id, brand.book_id, (approval.body ->> 'points')::bigint, (approval.body ->> 'replaces')::bigint
    INTO v_brand_id, v_book_id, v_points, v_replaces
    FROM rewards.approval
    JOIN rewards.brand USING (brand_id)
    WHERE approval.approval_no = p_approval_no
        AND approval.kind = 'brand.issue_limit'
        AND approval.decision = 'approved'
        AND approval.executed_at IS NULL;
    IF v_brand_id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT head.issue_limit INTO v_limit FROM ledger.head WHERE head.book_id = v_book_id FOR NO KEY UPDATE;
    IF v_limit = v_points THEN
        RETURN 'set';
    ELSIF v_limit <> v_replaces THEN
        RETURN 'changed';
    END IF;
    RETURN (
        SELECT CASE WHEN result.changed THEN 'set' ELSE 'changed' END
        FROM ledger.set_issue_limit_v1(v_brand_id, v_book_id, p_now, v_points) AS result
    );
END
$function$;

REVOKE ALL ON FUNCTION rewards.set_issue_limit_v1 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.set_issue_limit_v1 TO rewards_application;
