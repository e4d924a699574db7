-- Points are never paid to a lot that is dead. Of a batch of grants (see post_grants_v1) those that would be, as they come after its
-- last day, are directed to a lot that lasts as long as if they were earned now. Returns the lots, some of them new, and which of them
-- each item has. The books' clocks are read, so nothing dies meanwhile.

CREATE OR REPLACE FUNCTION ledger.living_lots_v1(
    p_clocks               timestamptz[],
    p_zones                text[],
    p_wallet_books         integer[],
    p_window_at            bigint[],
    INOUT p_lot_wallets    integer[],
    INOUT p_lots           bytea[],
    INOUT p_lot_expires_on date[],
    INOUT p_lot_ix         integer[]
)
LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
    c_epoch        CONSTANT timestamptz := timestamptz '2000-01-01 00:00:00+00';
    c_microsecond  CONSTANT interval := interval '1 microsecond';
    v_lot          integer;
    v_other        integer;
    v_book         integer;
    v_today        date;
    v_last_day     date;
    v_id           bytea;
BEGIN
    FOR v_item IN 1 .. cardinality(p_lot_ix) LOOP
        v_lot := p_lot_ix[v_item];
        v_book := p_wallet_books[p_lot_wallets[v_lot]];
        v_today := (p_clocks[v_book] AT TIME ZONE p_zones[v_book])::date;
        CONTINUE WHEN p_lot_expires_on[v_lot] >= v_today;
        v_last_day := ledger.last_day_v1(
            p_lot_expires_on[v_lot], ((c_epoch + p_window_at[v_item] * c_microsecond) AT TIME ZONE p_zones[v_book])::date, v_today);
        v_id := ledger.account_id_v1(substring(p_lots[v_lot] FROM 1 FOR 11), get_byte(p_lots[v_lot], 11), v_last_day);
        v_other := array_position(p_lots, v_id);
        WHILE p_lot_wallets[v_other] <> p_lot_wallets[v_lot] LOOP
            v_other := array_position(p_lots, v_id, v_other + 1);
        END LOOP;
        IF v_other IS NULL THEN
            v_other := cardinality(p_lots) + 1;
            p_lots[v_other] := v_id;
            p_lot_wallets[v_other] := p_lot_wallets[v_lot];
            p_lot_expires_on[v_other] := v_last_day;
        END IF;
        p_lot_ix[v_item] := v_other;
    END LOOP;
END
$function$;
