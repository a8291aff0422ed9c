"""faust-streaming: what `on_recover` raises is lost (`Recovery.on_recovery_completed` waits, and never asks)."""

import ast
import inspect
import textwrap

from faust.tables.recovery import Recovery

tree = ast.parse(textwrap.dedent(inspect.getsource(Recovery.on_recovery_completed)))
waits = [
    node.value
    for node in ast.walk(tree)
    if isinstance(node, ast.Expr)
    and isinstance(node.value, ast.Await)
    and "asyncio.wait(" in ast.unparse(node)
]
there = bool(waits)
print(f"{ast.unparse(waits[0])}: its result is thrown away" if there else "mended: the result is looked at")
raise SystemExit(0 if there else 1)
