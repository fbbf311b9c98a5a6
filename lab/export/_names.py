"""Short names: the fewest endings of module or parameter names that stand for just the chosen ones."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.contracts import Shape
from lab.export._marks import part


def modules(shape: Shape) -> dict[str, str]:
    """{module path: role} of everything in a model that holds weights."""
    return {linear.module: linear.role for linear in shape.linears} | {weight.name.rpartition(".")[0]: weight.role for weight in shape.weights}


def parameters(shape: Shape) -> dict[str, str]:
    """{name: role} of all its tensors."""
    linears = {f"{linear.module}.{kind}": linear.role for linear in shape.linears for kind in ("weight", "bias")[:1 + linear.bias]}
    return linears | {weight.name: weight.role for weight in shape.weights}


def endings(chosen: Iterable[str], known: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """{ending: roles of what it stands for}: whole parts of a name between dots, as few of them as leave nothing else in."""
    wanted, found = dict.fromkeys(chosen), {}
    for name in wanted:
        if any(ends_with(name, ending) for ending in found):
            continue
        parts = name.split(".")
        for size in range(1, len(parts) + 1):
            ending = ".".join(parts[-size:])
            met = [other for other in known if ends_with(other, ending)]
            if all(other in wanted for other in met):
                found[ending] = frozenset(known[other] for other in met)
                break
    return found


def ends_with(name: str, ending: str) -> bool:
    return name == ending or name.endswith("." + ending)


def listed(chosen: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """Items of a Python list that names the chosen modules: `"query"`, or where only the number of the block tells them apart,
    `*(f"{i}.output.dense" for i in range(6))`."""
    plain, numbered = [], {}
    for ending, roles in endings(chosen, known).items():
        number, _, rest = ending.partition(".")
        if number.isdigit() and rest:
            numbered.setdefault((rest, roles), []).append(int(number))
        else:
            plain.append(part(roles, f'"{ending}"'))
    for (rest, roles), numbers in numbered.items():
        numbers = sorted(numbers)
        if len(numbers) < 3:
            plain += [part(roles, f'"{number}.{rest}"') for number in numbers]
            continue
        row = f"range({len(numbers)})" if numbers == list(range(len(numbers))) else repr(tuple(numbers))
        name = part(roles, 'f"{i}.' + rest + '"')
        plain.append(f"*({name} for i in {row})")
    return plain
