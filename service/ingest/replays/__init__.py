"""Reading envelopes again: what would become of their events now, and correcting what a corrected mapping keys otherwise.

    posted        what each event of an envelope has posted before, at any reading
    previews      what would become of each event now; nothing is written
    comparing     what was and what would be, event by event
    dry_running   the agent's part of a dry run
    correcting    asking for a correction, and its part in the agent
    routes queries schemas tables

An event is one act, whatever a source's mapping says of it: what was posted for it under one key is not paid under another,
unless that is a correction which somebody else has approved. See decision 77.
"""
