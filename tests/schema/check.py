"""Holds the JSON Schema of plans against every plan of the project, with an implementation that is not ours.

Good plans, laid out plans, examples and the plan of the README must be valid. The bad plans whose mistake is one of shape
must not be: they are the list STRUCTURAL of tests/it/plans.rs, which the Rust implementation is held against, too.
"""

import json
import pathlib
import re
import sys

import jsonschema
import ruamel.yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Reader(ruamel.yaml.SafeConstructor):
    """Reads YAML 1.2, in which a date is a text."""


Reader.add_constructor("tag:yaml.org,2002:timestamp", ruamel.yaml.SafeConstructor.construct_yaml_str)


def read(text):
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    yaml.Constructor = Reader
    yaml.allow_duplicate_keys = True
    return yaml.load(text.removeprefix("\ufeff"))


def structural():
    """The one list of wrong shapes."""
    source = (ROOT / "tests/it/plans.rs").read_text()
    listed = re.search(r"const STRUCTURAL: &\[&str\] = &\[(.*?)\];", source, re.DOTALL)
    names = re.findall(r'"([^"]+)"', listed.group(1))
    assert len(names) >= 25, names
    return [ROOT / f"tests/plans/bad/{name}.yaml" for name in names]


def good():
    """Every plan that must be valid, with a name to show."""
    for files in ["tests/plans/good/*.yaml", "examples/*.yaml", "examples/*/*.yaml"]:
        for path in sorted(ROOT.glob(files)):
            text = path.read_text()
            # Beside the plans stand scripts of the emulator, and inputs.
            if re.search(r"^.?[ \"{]*version\b", text, re.MULTILINE):
                yield str(path.relative_to(ROOT)), text
    readme = (ROOT / "README.md").read_text()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL), 1):
        yield f"README.md, plan {number}", block


def main():
    schema = json.loads((ROOT / "schemas/plan.schema.json").read_text())
    validators = jsonschema.Draft202012Validator
    validators.check_schema(schema)
    validator = validators(schema)
    wrong = []
    accepted = refused = 0
    for name, text in good():
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(read(text))]
        wrong += [f"{name} is refused: {error}" for error in errors]
        accepted += not errors
    for path in structural():
        if validator.is_valid(read(path.read_text())):
            wrong.append(f"{path.name} is accepted")
        else:
            refused += 1
    print("\n".join(wrong + [f"{accepted} plans accepted, {refused} refused, {len(wrong)} wrong"]))
    return 1 if wrong or accepted < 12 else 0


if __name__ == "__main__":
    sys.exit(main())
