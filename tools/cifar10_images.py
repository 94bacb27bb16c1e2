"""Pictures of CIFAR-10, decoded once into the one file that the lessons read at once.

    uv run tools/cifar10_images.py cifar10-images.tar                  writes data/cifar10-images.npz
    uv run tools/cifar10_images.py cifar10-images.tar --out-dir DIR    then: --data-dir DIR

The pictures are JPEG or PNG files ``train/<class>/*`` and ``test/<class>/*``, 50,000 and 10,000 of
32×32 pixels, in a tar or in a folder. A lesson that finds such a tar or folder does the same, and
keeps what it made under data/. JPEG is lossy: results on it say "CIFAR-10 (JPEG)".
"""

from __future__ import annotations

import _root  # noqa: F401

import argparse
import sys
from pathlib import Path

from common.io import UserError, write_atomic
from datafiles.images import ARRAYS, Damaged, decode, pack


def convert(pictures: Path, out_dir: Path) -> Path:
    """Decode a tar or folder of pictures into a file below ``out_dir``.

    Raises:
        UserError: the pictures are missing, damaged or incomplete, or the file cannot be written.
    """
    if not pictures.exists():
        raise UserError(f"got {pictures}, which does not exist; name the tar or the folder")
    try:
        return write_atomic(out_dir / ARRAYS, pack(decode(pictures)))
    except Damaged as e:
        raise UserError(str(e)) from e


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", type=Path, help="tar or folder that holds train/ and test/")
    parser.add_argument("--out-dir", type=Path, default=Path("data"), help="where the file goes")
    args = parser.parse_args(argv)
    try:
        print(f"saved      {convert(args.pictures, args.out_dir)}")
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
