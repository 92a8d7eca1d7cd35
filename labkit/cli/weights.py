"""`labkit export --weights`: a folder for each set of trained weights, with the card that says what is guaranteed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from labkit.cli.cards import card, guarantee
from labkit.cli.offers import Offer, offers
from labkit.errors import BadInput
from labkit.runs import Store
from labkit.runs.files import plain_name, write_atomically
from labkit.runs.reader import key_of
from labkit.runs.released import PREFIX

CARD, STATE, ADAPTER = "README.md", "model.safetensors", "adapter_model.safetensors"


def write(
    store: Store,
    names: list[str],
    folder: Path,
    *,
    replicate: str | None = None,
    arms: Collection[str] = (),
    not_private: bool = False,
) -> list[Path]:
    """Write sets of weights to `folder`/<run>/<seed>-<device kind>/<what they are of>/; those folders.

    Nothing is written where one of them may not be. A folder is there whole or not at all.

    Args:
        names: of runs.
        replicate: SEED-DEVICE, for one replicate of each run alone.
        arms: what the weights should be of; empty for all.
        not_private: write also weights without a guarantee, with a watermark in their file and on their card.

    Raises:
        BadInput: there are no such weights, one has no guarantee, a folder is there already or cannot be written.
        StoreError: the store lacks what a card has to say, or names a folder that could lie elsewhere.
    """
    found = [offer for name in dict.fromkeys(names) for offer in offers(store, name, replicate, arms)]
    if not not_private:
        _refuse(found)
    targets = {_folder(folder, offer): offer for offer in found}
    if there := next((target for target in targets if target.exists()), None):
        raise BadInput("output", str(folder), f"a folder in which there is no {there.relative_to(folder)} yet")
    for target, offer in targets.items():
        with _whole(target, folder) as made:
            _fill(made, store, offer)
    return list(targets)


def _refuse(found: list[Offer]) -> None:
    """Refuse weights without a guarantee, and say which others of the same runs may go."""
    marked = next((offer for offer in found if offer.reservation), None)
    if marked is None:
        return
    others = dict.fromkeys(offer.what for offer in found if not offer.reservation)
    rest = f"{' '.join(f'--arm {what}' for what in others)}, " if others else ""
    allowed = f"{rest}a run with noise from the operating system, or --not-private, which marks what it writes"
    raise BadInput("run", marked.key.name, f"{allowed}; {marked.what} is {marked.reservation.partition(';')[0]}")


def _folder(folder: Path, offer: Offer) -> Path:
    parts = offer.key.name, f"{offer.key.seed}-{offer.key.device_kind}", offer.what
    return folder.joinpath(*map(plain_name, parts))


@contextlib.contextmanager
def _whole(target: Path, folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` if that succeeds and otherwise goes.

    Raises:
        BadInput: the disk refused.
    """
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        made.mkdir(parents=True)
        yield made
        made.rename(target)
    except OSError as error:
        raise BadInput("output", str(folder), f"a folder that can be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _fill(made: Path, store: Store, offer: Offer) -> None:
    from safetensors.numpy import save

    told = {"format": "pt", "run": str(offer.key), "guarantee": guarantee(offer)}
    told |= {"watermark": offer.reservation} if offer.reservation else {}
    fields = offer.released.adapter
    write_atomically(made / (ADAPTER if fields else STATE), save(store.arrays(offer.key, PREFIX + offer.what), told))
    if fields:
        from peft import LoraConfig

        LoraConfig(**fields).save_pretrained(str(made))
    write_atomically(made / CARD, card(offer, _rows(store, offer)).encode())


def _rows(store: Store, offer: Offer) -> list[dict]:
    """The ledger of all that this store's runs of the experiment did with the same data."""
    replicates = store.replicates(offer.key.experiment)
    fingerprint = next(row["record"].get("fingerprint") for row in replicates if key_of(row) == offer.key)
    same = [key_of(row) for row in replicates if row["record"].get("fingerprint") == fingerprint]
    return [row for key in same for row in store.points(key, "ledger")]
