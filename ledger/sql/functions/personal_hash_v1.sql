-- What an erasure leaves of personal texts: the inner hash of ledger/details.py. NULL for details of version 1, whose salts have 16
-- bytes: of them nothing is left.

CREATE OR REPLACE FUNCTION ledger.personal_hash_v1(p_salt bytea, p_texts text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE
AS $function$
    SELECT CASE octet_length(p_salt) WHEN 15 THEN sha256(p_salt || string_agg(
        CASE WHEN said.words IS NULL THEN decode('ff', 'hex') ELSE decode('00', 'hex') || convert_to(said.words, 'UTF8') END,
        ''::bytea ORDER BY said.place
    )) END
    FROM unnest(p_texts) WITH ORDINALITY AS said (words, place)
$function$;
