import subprocess
import sys


def test_the_api_does_not_import_heavy_libraries() -> None:
    program = (
        "import sys; import service.app; "
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'alembic', 'httpx', 'rich') if m in sys.modules])"
    )
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert imported.stdout.strip() == "[]"
