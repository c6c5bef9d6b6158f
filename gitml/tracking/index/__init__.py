"""The index: a cache of the ledger in SQLite, for searching. Deleting it loses nothing.

`handle` is what the rest of gitml uses; `changes` asks git what is new, `update` and `writer`
store it in the tables of `database`, `query` and `lookup` ask them.
"""

from gitml.tracking.index.handle import Index as Index
from gitml.tracking.index.handle import newest as newest
from gitml.tracking.index.location import index_path as index_path
from gitml.tracking.index.query import ACTIVE as ACTIVE
from gitml.tracking.index.query import ALL as ALL
from gitml.tracking.index.query import DELETED as DELETED
from gitml.tracking.index.row import Row as Row
