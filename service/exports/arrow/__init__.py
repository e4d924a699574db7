"""Columns, by Arrow: Parquet, and CSV. The only place that loads it, and nothing loads this before it is asked for a file."""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false

import pyarrow as pa

# Of its allocators the one that gives memory back soonest: 20 MB less at the peak, for nothing.
pa.set_memory_pool(pa.system_memory_pool())
