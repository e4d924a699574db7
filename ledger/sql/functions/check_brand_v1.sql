-- Raises RW001 unless a book is the brand's: for what does not lock the book's head.

CREATE OR REPLACE FUNCTION ledger.check_brand_v1(p_brand_id integer, p_book_id integer) RETURNS void
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.head WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id) THEN
        RAISE EXCEPTION 'book % is not a book of brand %', p_book_id, p_brand_id USING ERRCODE = 'RW001';
    END IF;
END
$function$;
