#!/bin/sh
# Check the container image: import, index, serve and identify, without rights and on a read-only root.
#
#     scripts/check_image.sh [IMAGE]     # default satchel
set -eu

image=${1:-satchel}
maison=$(cd "$(dirname "$0")/../examples/maison" && pwd)
run="docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"

docker image inspect --format '{{.Size}} bytes' "$image"
volume=$(docker volume create)
container=
clean() {
    [ -z "$container" ] || docker rm --force "$container" >/dev/null
    docker volume rm "$volume" >/dev/null
}
trap clean EXIT

$run -v "$volume:/data" "$image" init /data
$run -v "$volume:/data" -v "$maison:/maison:ro" "$image" import /maison/catalogue.csv
$run -v "$volume:/data" "$image" index
container=$($run --detach -v "$volume:/data" -p 127.0.0.1:8000:8000 \
    --health-interval 2s --health-start-period 0s "$image")
tries=0
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { docker logs "$container"; echo "it is not healthy" >&2; exit 1; }
    sleep 1
done
curl --fail --silent --form "photos=@$maison/queries/IMG_2041.jpg" \
    http://127.0.0.1:8000/api/v1/identify | grep --quiet '"code":"MO1102"'
[ "$(docker exec "$container" id -u)" = 10001 ]
docker stop --time 20 "$container" >/dev/null
container=
echo "the image serves, identifies and stops"
