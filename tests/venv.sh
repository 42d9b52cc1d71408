# For the scripts that need Python libraries, which source it: a virtual environment of their own.
#
# `make_venv FOLDER FILE...` makes FOLDER/venv with exactly what the requirements files name, unless it is there. With `--partial` before
# them the files may leave out what the libraries ask for.
make_venv() {
  local partial= file pinned=()
  if [ "$1" = --partial ]; then
    partial=yes
    shift
  fi
  local work=$1 venv=$1/venv
  shift
  # The stamp is written last: an installation that broke off is done again.
  if cat "$@" | cmp -s - "$venv/installed.txt"; then
    return
  fi
  rm -rf "$venv"
  mkdir -p "$work"
  python3 -m venv "$venv"
  for file in "$@"; do
    pinned+=(--requirement "$file")
  done
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: "${pinned[@]}"
  if [ -z "$partial" ]; then
    "$venv/bin/python" -m pip check --disable-pip-version-check >/dev/null
  fi
  cat "$@" >"$venv/installed.txt"
}
