-- Which grant was spent: an agent derives it from the log, and can build it again at any time. Posting knows nothing of it.
--
-- A layer is what one transfer brought into a lot from outside the customers' accounts (a grant, points that matured, an opening
-- balance), named by that transfer's seq.

-- Up to which seq the log has been read. While clearing, what is kept counts for nothing and is being deleted.
CREATE TABLE ledger.layer_reader (
    book_id   integer NOT NULL,
    seq       bigint  NOT NULL,
    clearing  boolean NOT NULL,
    CONSTRAINT layer_reader_is_one_row_a_book PRIMARY KEY (book_id)
) WITH (fillfactor = 50);

-- The layers that a transfer out of a lot, a hold, a spent account or transit moves, and how many points of each: they add up to its
-- amount. The campaign is the layer's and the redemption the transfer's, if there is one.
CREATE TABLE ledger.transfer_layer (
    book_id      integer       NOT NULL,
    campaign_no  integer,
    seq          bigint        NOT NULL,
    layer        bigint        NOT NULL,
    amount       ledger.amount NOT NULL,
    redemption   bigint,
    CONSTRAINT transfer_layer_is_one_row_a_layer PRIMARY KEY (book_id, seq, layer)
);

CREATE INDEX transfer_layer_by_layer ON ledger.transfer_layer (book_id, layer);

CREATE INDEX transfer_layer_by_redemption ON ledger.transfer_layer (book_id, redemption) WHERE redemption IS NOT NULL;

-- What is left of the layers that came into a lot up to the seq `entered`, oldest first. Layers that came in later from outside are
-- whole. A lot that has no row has not been touched.
CREATE TABLE ledger.lot_layers (
    book_id  integer  NOT NULL,
    lot      bytea    NOT NULL,
    entered  bigint   NOT NULL,
    layers   bigint[] NOT NULL,
    amounts  bigint[] NOT NULL,
    CONSTRAINT lot_layers_are_one_row_a_lot PRIMARY KEY (book_id, lot),
    CONSTRAINT lot_layers_has_an_amount_a_layer CHECK (cardinality(layers) = cardinality(amounts))
) WITH (fillfactor = 70);

ALTER TABLE ledger.layer_reader OWNER TO ledger_owner;
ALTER TABLE ledger.transfer_layer OWNER TO ledger_owner;
ALTER TABLE ledger.lot_layers OWNER TO ledger_owner;

GRANT SELECT ON ledger.layer_reader, ledger.transfer_layer, ledger.lot_layers
TO rewards_application, rewards_worker, rewards_reader;
