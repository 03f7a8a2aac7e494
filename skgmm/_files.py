"""Rows that are not in memory: read block by block, ahead of who computes."""

import mmap
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from scipy import sparse

# Numbers in a block that is read for its own sake.
_BLOCK = 2**19

# Blocks that are read before they are asked for.
_AHEAD = 2

# What arrays have that are in memory, though they are not NumPy's.
_IN_MEMORY = ("__array_interface__", "__cuda_array_interface__", "__dlpack__")


def is_stored(X):
    """Tell whether the rows of X are to be read block by block.

    They are in a memory-mapped file, or in anything else that is no array and has
    ``shape``, ``dtype`` and slices of rows, as the arrays of zarr and h5py.
    """
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) and X._mmap is not None and _is_table(X)
    if sparse.issparse(X) or any(hasattr(X, name) for name in _IN_MEMORY):
        return False
    return hasattr(X, "__getitem__") and _is_table(X)


def _is_table(X):
    """Tell whether X has rows and columns of real numbers."""
    try:
        kind = np.dtype(X.dtype).kind
        sizes = [n for n in X.shape if isinstance(n, Integral) and n > 0]
    except (AttributeError, TypeError):
        return False
    return kind in "fiub" and len(X.shape) == len(sizes) == 2


class Blocks:
    """Slices of rows, with the rows in them: pairs, for `ordered_map`.

    Parameters
    ----------
    rows : ndarray or StoredRows
        Of these the blocks are read by a thread, before they are asked for.
    slices : list of slice
        They follow each other, from the first row to the last.
    """

    def __init__(self, rows, slices):
        self._rows, self._slices = rows, slices

    def __len__(self):
        return len(self._slices)

    def __iter__(self):
        if isinstance(self._rows, np.ndarray):
            return ((part, self._rows[part]) for part in self._slices)
        return ahead(zip(self._slices, self._rows.read(self._slices), strict=True))


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of a file, as much of an array as sources need.

    Attributes
    ----------
    stored : array-like of shape (m, D)
        Slices of its rows are read.
    dtype : dtype
        That of the rows once they are read: float32 or float64.
    kept : ndarray of shape (m,), bool, or None
        Which rows there are; None for all.
    check : callable or None
        Is called with every block that is read.
    """

    stored: object
    dtype: np.dtype
    kept: np.ndarray | None = None
    check: object = None

    ndim = 2

    @classmethod
    def of(cls, stored, check=None):
        """Return the rows of something stored."""
        dtype = np.dtype(stored.dtype)
        # As scikit-learn's checks have it for arrays.
        known = dtype in (np.float64, np.float32)
        return cls(stored, dtype if known else np.dtype(np.float64), None, check)

    @property
    def shape(self):
        """Numbers of rows and of features."""
        n_rows, n_features = map(int, self.stored.shape)
        if self.kept is not None:
            n_rows = int(np.count_nonzero(self.kept))
        return n_rows, n_features

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        """Return itself for ``:``, fewer rows for a mask, an array for numbers."""
        if isinstance(index, slice):
            if index != slice(None):
                raise IndexError("stored rows have no slices; use Blocks")
            return self
        if index.dtype == bool:
            return replace(self, kept=index)
        return self._take(index)

    def __array__(self, dtype=None, copy=None):
        """Read all rows into memory."""
        return self._take(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def unchecked(self):
        """Return the same rows, read without checks from now on."""
        return replace(self, check=None)

    def slices(self):
        """Return slices that cut the rows into blocks of a few megabytes."""
        size = max(1, _BLOCK // self.shape[1])
        return [slice(start, start + size) for start in range(0, len(self), size)]

    def read(self, slices):
        """Yield the rows of slices that follow each other from the first row on."""
        step = self._rows_together()
        if self.kept is None and step == 1:
            return (self._load(part.start, part.stop) for part in slices)
        return _recut(self._pieces(step), slices, len(self))

    def _take(self, indices):
        """Return the rows with ascending numbers, as an array."""
        out = np.empty((len(indices), self.shape[1]), self.dtype)
        for part, block in Blocks(self, self.slices()):
            low, high = np.searchsorted(indices, [part.start, part.stop])
            out[low:high] = block[indices[low:high] - part.start]
        return out

    def _rows_together(self):
        """Return the number of rows that are stored together, else 1."""
        chunks = getattr(self.stored, "chunks", None)  # h5py, zarr
        known = isinstance(chunks, tuple) and isinstance(chunks[0], Integral)
        return int(chunks[0]) if known else 1

    def _pieces(self, step):
        """Yield all rows, in whole numbers of those that are stored together."""
        n_rows, n_features = self.stored.shape
        size = step * max(1, _BLOCK // n_features // step)
        for start in range(0, n_rows, size):
            piece = self._load(start, start + size)
            if self.kept is not None:
                piece = piece[self.kept[start : start + size]]
            yield piece

    def _load(self, start, stop):
        part = self.stored[start : min(stop, self.stored.shape[0])]
        if isinstance(part, np.memmap):
            block = np.array(part, dtype=self.dtype)
            _release(part)
        else:
            block = np.asarray(part, dtype=self.dtype)
        if self.check is not None:
            self.check(block)
        return block


def _recut(pieces, slices, n_rows):
    """Yield the slices of what the pieces are when put together."""
    rest = next(pieces)
    for part in slices:
        wanted, held = min(part.stop, n_rows) - part.start, [rest]
        while sum(map(len, held)) < wanted:
            held.append(next(pieces))
        rest = np.concatenate(held) if len(held) > 1 else rest
        yield rest[:wanted]
        rest = rest[wanted:]


def _release(part):
    """Give back the memory through which a part of a file was seen.

    The kernel keeps the pages in its cache, and drops them there when it needs to; but
    what a process has mapped counts as its own.  A private map (mode "c") is left
    alone: changes are nowhere else.
    """
    if part.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = np.frombuffer(part._mmap, np.uint8).ctypes.data
    byte_bounds = getattr(np.lib, "array_utils", np).byte_bounds  # as of NumPy 2
    low, high = (bound - first for bound in byte_bounds(part))
    low -= low % mmap.PAGESIZE
    part._mmap.madvise(mmap.MADV_DONTNEED, low, high - low)


def ahead(items):
    """Yield items, of which the next ones are made meanwhile by a thread."""
    end = object()
    items = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="skgmm-read") as reader:
        under_way = deque(reader.submit(next, items, end) for _ in range(_AHEAD))
        try:
            while (item := under_way.popleft().result()) is not end:
                under_way.append(reader.submit(next, items, end))
                yield item
        finally:
            for future in under_way:  # after an error or an interrupt
                future.cancel()
