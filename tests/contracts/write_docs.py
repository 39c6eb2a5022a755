"""`python -m tests.contracts.write_docs`: write what documents say about the code anew."""

from engine.app.reference import FOLDER
from tests.contracts.documents import ROOT, filled, hand_written, name_of, reference


def main() -> None:
    """Print each file that changed."""
    wanted = reference()
    for path in (ROOT / FOLDER).rglob("*.md"):
        if name_of(path) not in wanted:
            path.unlink()
            print(f"gone     {name_of(path)}")
    for name, text in wanted.items():
        _write(name, text)
    for path in hand_written():
        _write(name_of(path), filled(path.read_text(encoding="utf-8")))


def _write(name: str, text: str) -> None:
    path = ROOT / name
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"written  {name}")


if __name__ == "__main__":
    main()
