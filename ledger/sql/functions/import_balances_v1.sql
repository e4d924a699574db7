-- `import_balances_v2` as the command line of the version before calls it: a file is known by its bytes, and lots that a
-- customer has from an opening already are opened again.

CREATE OR REPLACE FUNCTION ledger.import_balances_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_now        timestamptz,
    p_file_hash  bytea,
    p_count      integer,
    p_sum        bigint,
    p_customers  bigint[],
    p_points     bigint[],
    p_classes    smallint[],
    p_last_days  date[]
) RETURNS TABLE (posted boolean, first_seq bigint, lots integer, points bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT imported.posted, imported.first_seq, imported.lots, imported.points
    FROM ledger.import_balances_v2(
        p_brand_id, p_book_id, p_now, ARRAY[p_file_hash], true, p_count, p_sum, p_customers, p_points, p_classes, p_last_days,
        '{}', '{}'
    ) AS imported
$function$;
