#!/bin/sh
# Check the files of a release: their sizes and metadata, and that the wheel alone identifies a photo.
#
#     scripts/check_wheel.sh [DIST]     # the folder with wheel and sdist; default dist
#
# Needs twine. Installs the wheel with its dependencies into an empty virtual environment.
set -eu

dist=$(cd "${1:-dist}" && pwd)
maison=$(cd "$(dirname "$0")/../examples/maison" && pwd)
limit=104857600 # 100 MiB, the package index's limit for a file

for file in "$dist"/*; do
    size=$(wc -c <"$file")
    echo "$(basename "$file"): $size bytes"
    if [ "$size" -gt "$limit" ]; then
        echo "expected at most $limit bytes" >&2
        exit 1
    fi
done
twine check --strict "$dist"/*

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" # so that nothing is imported from the source folder
python3 -m venv installed
installed/bin/pip install --quiet "$dist"/*.whl
echo "installed with dependencies: $(du -sm installed | cut -f1) MB"
satchel="installed/bin/satchel --workspace shop"
installed/bin/satchel init shop
$satchel import "$maison/catalogue.csv"
$satchel index
$satchel identify --json "$maison/queries/IMG_2041.jpg" >answer.json
installed/bin/python -c "
import json
first = json.load(open('answer.json'))['candidates'][0]
assert first['code'] == 'MO1102', first
print('identified', first['code'])
"
