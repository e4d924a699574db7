"""What the migrations lead to: the service's tables, all of them on one ``metadata``."""

from __future__ import annotations

from service.app_receipts import tables as app_receipts
from service.approvals import tables as approvals
from service.auth import tables as auth
from service.brands import tables as brands
from service.campaigns import tables as campaigns
from service.code_batches import tables as code_batches
from service.console.sign_in import tables as console
from service.corrections import tables as corrections
from service.corrections.jobs import tables as correction_jobs
from service.customers import tables as customers
from service.erasure import tables as erasure
from service.estimates import tables as estimates
from service.evidence import tables as evidence
from service.export_jobs import tables as export_jobs
from service.ingest import tables as ingest
from service.ingest.replays import tables as replays
from service.links import tables as links
from service.messages import tables as messages
from service.offers import tables as offers
from service.persons import tables as persons
from service.preferences import tables as preferences
from service.restatements import tables as restatements
from service.retention import tables as retention
from service.storage.database import metadata
from service.storage.spool_watch import tables as spool_watch

# Importing them is what puts the tables on the metadata.
CAPABILITIES = (
    app_receipts,
    approvals,
    auth,
    brands,
    campaigns,
    code_batches,
    console,
    corrections,
    correction_jobs,
    customers,
    erasure,
    estimates,
    evidence,
    export_jobs,
    ingest,
    links,
    messages,
    offers,
    persons,
    preferences,
    replays,
    restatements,
    retention,
    spool_watch,
)

__all__ = ["CAPABILITIES", "metadata"]
