"""Which grant was spent: the layers of a lot, derived from the log.

A **layer** is the points that one transfer brought into a lot: a grant, points that matured, an opening balance. It is named
by that transfer's ``seq`` and keeps it wherever its points go. Inside a lot the oldest layer is spent first.

    folding    which layers each transfer moves: pure
    loading    what folding a stretch of the log needs to know, read from the tables
    tracking   keeps the table ``transfer_layer`` up to date, a stretch at a time, and builds it again
    reading    where a redemption's points came from and where a grant's went, up to the head

Posting knows nothing of layers. What is kept is little: a row for each layer that a transfer moves, and for each lot that was
ever debited how far its layers are used up. A grant that nobody has spent costs nothing.
"""
