#!/usr/bin/env bash
# Download the MABe 2022 keypoints (mouse triplets, fly groups) from CaltechDATA.
#
#   ./download_mabe.sh [mice] [flies] [--dir DIR] [--no_check]
#
#   mice, flies   fetch only these (default: both)
#   --dir DIR     where the files go (default: data/mabe)
#   --no_check    accept files whatever their md5 sum is
#
# Files that are already there are skipped, and an interrupted download goes on where it ended.
# A file with a wrong md5 sum is kept aside as NAME.mismatch (only the newest such one).
# BAMS_MABE_URL, if set, is the address of a mirror: NAME is fetched from $BAMS_MABE_URL/NAME.
# Exit status: 0 all files are there, 1 some are not, 2 it could not start.

set -u

# name, then every md5 sum that is right for it (none: not known)
FILES='
mouse_triplet_train.npy         76a48f3a1679a219a0e7e8a87871cc74
mouse_triplet_test.npy          20dc132300118a64aac665dd68153b20 f43f0f8824ffe6a4496eaf3ba7559d5c
mouse_triplets_test_labels.npy  5a54f2d29a13a256aabbefc61a633176
fly_group_train.npy
fly_group_test.npy
fly_groups_test_labels.npy
'
base=${BAMS_MABE_URL:-https://data.caltech.edu/records/8kdn3-95j37/files}

has() { command -v "$1" > /dev/null 2>&1; }
stop() { echo "download_mabe.sh: $1" >&2; exit 2; }

dir=data/mabe check=yes wanted=
while [ $# -gt 0 ]; do
    case $1 in
        mice) wanted="$wanted mouse" ;;
        flies) wanted="$wanted fly" ;;
        --no_check) check=no ;;
        --dir)
            case ${2:-} in '' | -*) stop "--dir needs the name of a folder." ;; esac
            dir=$2
            shift
            ;;
        -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) stop "unknown argument '$1' (--help lists the known ones)." ;;
    esac
    shift
done
wanted=${wanted:- mouse fly}

if has curl; then tool=curl; elif has wget; then tool=wget; else stop "needs curl or wget."; fi
if [ $check = yes ] && ! has md5sum && ! has md5; then
    stop "needs md5sum or md5 to check the files (--no_check goes without)."
fi
mkdir -p "$dir" || stop "cannot make the folder '$dir'."
log=$(mktemp) || stop "cannot make a temporary file."
trap 'rm -f "$log"' EXIT

md5_of() { if has md5sum; then md5sum < "$1" | cut -d ' ' -f 1; else md5 -q "$1"; fi; }

# good FILE SUMS: is its sum one of these? Yes too where nothing is known or asked.
good() {
    if [ $check = no ] || [ -z "$2" ]; then return 0; fi
    sum=$(md5_of "$1")
    case " $2 " in *" ${sum:-unread} "*) return 0 ;; *) return 1 ;; esac
}

# get URL PART: append what PART lacks; the headers of the replies go to $log.
get() {
    : > "$log"
    if [ $tool = curl ]; then
        if [ -t 2 ]; then show=--progress-bar; else show=--silent; fi
        curl --fail --location --retry 3 $show -C - -D "$log" -o "$2" "$1"
    else
        if [ -t 2 ]; then show=--show-progress; else show=; fi
        wget -nv --tries=3 $show -c -S -o "$log" -O "$2" "$1"
    fi
}

# The last reply's status and the size of the whole file, as far as its headers say.
reply() {
    tr -d '\r' < "$log" | awk '
        { key = tolower($1) }
        key ~ /^http\// { status = $2; size = "" }
        key == "content-length:" && status == 200 { size = $2 }
        key == "content-range:" { sub(/.*\//, ""); if ($0 != "*") size = $0 }
        END { print status, size }'
}

# fetch URL PART: PART is whole afterwards, or one sentence says why not.
fetch() {
    for _ in resumed anew; do
        get "$1" "$2"
        rc=$?
        read -r status size <<< "$(reply)"
        [ -s "$2" ] || rm -f "$2"
        have=$(if [ -e "$2" ]; then wc -c < "$2" | tr -d ' '; else echo 0; fi)
        if [ "$status" = 416 ]; then # nothing after the end of PART: it is whole, or too long
            [ "$have" = "$size" ] && return 0
        elif [ $rc -eq 0 ]; then
            [ "$have" = "${size:-$have}" ] && return 0
        elif [ $tool$rc != curl33 ]; then # 33: the server can only send from the start
            break
        fi
        rm -f "$2"
    done
    case $status in
        [45]??) echo "The server answered $status to $1." >&2 ;;
        *) echo "$1 did not come whole ($tool ended with $rc): run this again to go on." >&2 ;;
    esac
    return 1
}

failed=0
while read -r name sums <&3; do
    [ -n "$name" ] || continue
    case "$wanted " in *" ${name%%_*} "*) ;; *) continue ;; esac
    file=$dir/$name
    if [ -e "$file" ]; then
        if good "$file" "$sums"; then echo "$file is already there."; continue; fi
        echo "$file has md5 $sum, not ${sums// / or }: kept as $name.mismatch, fetched again." >&2
        mv -f "$file" "$file.mismatch"
    fi
    echo "Fetching $file"
    if ! fetch "${base%/}/$name" "$file.part"; then
        failed=1
    elif good "$file.part" "$sums"; then
        mv -f "$file.part" "$file" || failed=1
    else
        echo "$name came with md5 $sum, not ${sums// / or }: kept as $name.mismatch, not used" \
            "(--no_check accepts it)." >&2
        mv -f "$file.part" "$file.mismatch"
        failed=1
    fi
done 3<<< "$FILES"
exit $failed
