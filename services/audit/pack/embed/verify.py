#!/usr/bin/env python3
"""Checks an evidence pack with nothing but Python's standard library and openssl.

usage: verify.py [DIR] [--key FILE]... [--policy FILE] [--sample N [--word WORD]]    exit status 0 when everything holds, else 1

--sample draws N requests out of the pack of a period, as its README.md says.
--policy names the witnesses that must have cosigned the log's head (C2SP tlog-policy).
Without --key the keys are those in the pack: that shows the pack is of one piece, not whose it is.
"""
import base64, calendar, csv, hashlib, io, json, os, re, subprocess, sys, tempfile, time

FIXED = {"keys.json", "policy.txt", "checkpoints/end", "certificate.html", "population.csv", "metrics.csv", "README.md", "verify.py"}
PERIOD = FIXED | {"period.json", "checkpoints/close", "consistency/start", "consistency/close"}
RECORD = re.compile(r"^records/([0-9]{12})-([a-z]+)\.dsse\.json$")
STATEMENT, PAYLOAD = "https://in-toto.io/Statement/v1", "application/vnd.in-toto+json"
PREDICATE = "https://github.com/habeas-data/habeas/evidence/%s/v1"
ED25519 = bytes.fromhex("302a300506032b6570032100")  # the DER before a raw Ed25519 key
ACTIONS = ["UNSPECIFIED", "RESOLVE", "LOCATE", "EXPORT", "ERASE", "CORRECT", "OPT_OUT", "LIMIT", "OPT_IN", "LIFT_LIMIT"]
AT_THE_DESK = {"opt_in_sale_share", "opt_in_spi", "appeal"}  # rights no connector is asked for
CONNECTORS_SIGN = {"located", "outcome", "verification"}
OUTCOMES = ["done", "no_match", "retained", "deferred", "needs_identifier", "partial", "over_limit", "plan_changed", "not_supported", "failed"]
SUCCESS = {"done", "no_match", "retained"}
POPULATION = ["request_id", "regime", "right", "channel", "receive_date", "answer_date", "result", "reason_code", "intake_leaf", "closure_leaf", "records"]
METRICS = ["right", "received", "complied_in_whole", "complied_in_part", "denied", "cancelled", "open", "median_days", "mean_days"]
CLOCK_SKEW = 300  # seconds a signer's clock may be behind
MOST = 16 << 20  # bytes of a file


class Refused(Exception):
    pass


def need(ok, message):
    if not ok:
        raise Refused(message)


def load(data):
    """JSON in which nothing is said twice: of two values one reader would take the first and another the last."""
    def once(pairs):
        need(len({k.lower() for k, _ in pairs}) == len(pairs), "a field is there twice")
        return dict(pairs)
    return json.loads(data.decode("utf-8"), object_pairs_hook=once)


def sha(data):
    return hashlib.sha256(data).digest()


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 in another than its one right form")
    return data


def fingerprint(der):
    return "SHA256:" + base64.b64encode(sha(der)).decode().rstrip("=")


def signed(der, message, signature):
    """Whether openssl accepts the Ed25519 signature."""
    with tempfile.TemporaryDirectory() as d:
        def put(name, data):
            path = os.path.join(d, name)
            with open(path, "wb") as f:
                f.write(data)
            return path
        pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", put("key", pem), "-rawin", "-in", put("message", message),
                               "-sigfile", put("signature", signature)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def read_files(root):
    """All files, held against SHA256SUMS and the layout. Leaves of a period are not kept in memory."""
    files, sums = {}, {}
    def unreadable(e):
        raise e
    for folder, folders, names in os.walk(root, onerror=unreadable):
        for n in folders:
            need(not os.path.islink(os.path.join(folder, n)), "%s: not a plain folder" % n)
        for n in names:
            path = os.path.join(folder, n)
            need(os.path.isfile(path) and not os.path.islink(path), "%s: not a plain file" % n)
            need(os.path.getsize(path) <= MOST, "%s: larger than %d bytes" % (n, MOST))
            with open(path, "rb") as f:
                data, name = f.read(), os.path.relpath(path, root).replace(os.sep, "/")
            files[name], sums[name] = (None if name.startswith("leaves/") else data), sha(data).hex()
    need("SHA256SUMS" in files, "SHA256SUMS is missing")
    listed = files.pop("SHA256SUMS")
    want = dict(reversed(line.split("  ", 1)) for line in listed.decode().splitlines())
    for name in sorted(set(want) | set(files)):
        need(name in files, "%s is listed and missing" % name)
        need(name in want, "%s is not listed in SHA256SUMS" % name)
        need(sums[name] == want[name], "%s was altered" % name)
    right = "".join("%s  %s\n" % (sums[n], n) for n in sorted(files, key=str.encode))
    need(right.encode() == listed, "SHA256SUMS is not in its one right form")
    if "period.json" in files:
        odd = {n for n in files if n != "checkpoints/start" and not n.startswith("leaves/")} ^ PERIOD
        need(not odd, "files are missing or do not belong: %s" % sorted(odd))
        return files, sorted(n for n in files if n.startswith("leaves/"))
    records = [n for n in files if RECORD.match(n)]
    known = FIXED | set(records) | {proof_of(n) for n in records}
    need(known == set(files), "files are missing or do not belong: %s" % sorted(known ^ set(files)))
    return files, records


def proof_of(name):
    return "proofs/" + name[len("records/"):-len(".dsse.json")] + ".tlog-proof"


def check_head(text, vkey, where="checkpoints/end"):
    """A checkpoint signed by the log: its size and root."""
    name, keyhash, key = vkey.split("+", 2)
    raw = unbase64(key)
    need(raw[0] == 1 and len(raw) == 33 and sha(name.encode() + b"\n" + raw)[:4].hex() == keyhash, "the log's key is malformed")
    m = re.fullmatch("(([^\n]+)\n([0-9]+)\n([^\n]+)\n)\n\u2014 ([^ \n]+) ([^\n]+)\n", text.decode())
    need(m and m[2] == name and m[5] == name and str(int(m[3])) == m[3], "%s is not a checkpoint of the log" % where)
    root, signature = unbase64(m[4]), unbase64(m[6])
    need(len(root) == 32 and signature[:4].hex() == keyhash, "%s is signed with another key" % where)
    need(signed(ED25519 + raw[1:], m[1].encode(), signature[4:]), "the signature of %s does not hold" % where)
    return int(m[3]), root


def parse_policy(text):
    """A C2SP tlog-policy: its logs, its witnesses by name, and what each name needs."""
    logs, witnesses, needs, used, quorum = [], {}, {}, set(), None
    for line in text.split("\n"):
        f = [x for x in re.split("[ \t]+", line) if x]
        if not f or f[0].startswith("#"):
            continue
        need(f[0] in ("log", "witness", "group", "quorum") and len(f) >= 2, "the policy has a line that is none")
        if f[0] == "log":
            logs.append(f[1])
        elif f[0] == "quorum":
            need(quorum is None and len(f) == 2 and (f[1] == "none" or f[1] in needs), "the policy's quorum is not one")
            quorum = f[1]
        else:
            need(f[1] not in needs and f[1] not in ("none", "any", "all", "log", "witness", "group", "quorum") and len(f) >= 3, "the policy has a name twice, or a word for one")
            if f[0] == "witness":
                need(all(w.split("+", 2)[2] != f[2].split("+", 2)[2] for w in witnesses.values()), "the policy has a key twice")
                witnesses[f[1]], needs[f[1]] = f[2], None
            else:
                members = f[3:]
                k = {"any": 1, "all": len(members)}.get(f[2]) or int(f[2])
                need(1 <= k <= len(members) and all(m in needs and m not in used for m in members) and len(set(members)) == len(members), "a group of the policy is not one")
                used |= set(members)
                needs[f[1]] = (k, members)
    need(quorum is not None, "the policy has no quorum")
    return logs, witnesses, needs, quorum


def holds_quorum(name, needs, have):
    if name == "none" or needs[name] is None:
        return name == "none" or name in have
    k, members = needs[name]
    return sum(holds_quorum(m, needs, have) for m in members) >= k


def cosigners(text, lines, witnesses):
    """The names of witnesses whose Ed25519 cosignature (C2SP tlog-cosignature) is among the lines, and of those that can't be checked here."""
    have, unread, places = {}, [], []
    for name, vkey in witnesses.items():
        key_name, keyhash, key = vkey.split("+", 2)
        raw = unbase64(key)
        need(raw[0] in (4, 6) and sha(key_name.encode() + b"\n" + raw)[:4].hex() == keyhash, "the key of witness %s is malformed" % name)
        for at, line in enumerate(lines):
            m = re.fullmatch("\u2014 ([^ \n]+) ([^\n]+)", line)
            need(m, "a signature's line is malformed")
            sig = unbase64(m[2])
            if m[1] != key_name or sig[:4].hex() != keyhash:
                continue
            need(name not in have and name not in unread, "witness %s signed twice" % name)
            places.append(at)
            if raw[0] == 6:
                unread.append(name)
                continue
            need(len(sig) == 76 and len(raw) == 33, "the signature of witness %s is malformed" % name)
            when = int.from_bytes(sig[4:12], "big")
            need(signed(ED25519 + raw[1:], b"cosignature/v1\ntime %d\n%s" % (when, text), sig[12:]), "the signature of witness %s does not hold" % name)
            have[name] = when
    return have, unread, places


def check_witnesses(head, vkey, own, policyfile):
    """Cosignatures on the head; returns the head as the log alone signed it."""
    text, _, rest = head.partition(b"\n\n")
    lines = rest.decode().split("\n")
    need(len(lines) >= 2 and lines[-1] == "", "checkpoints/end is cut off")
    text, lines = text + b"\n", lines[:-1]
    need(own.startswith("log %s\n" % vkey) and own.count("\nlog ") == 0, "policy.txt is of another log")
    _, witnesses, needs, quorum = parse_policy(own)
    have, unread, places = cosigners(text, lines[1:], witnesses)
    need(places == list(range(len(lines) - 1)), "a signature of checkpoints/end is of no witness of policy.txt, or out of its place")
    whose = "the policy in the pack, which the company chose"
    if policyfile:
        with open(policyfile, encoding="utf-8") as f:
            logs, witnesses, needs, quorum = parse_policy(f.read())
        need(not logs or vkey in logs, "the log is none of those that your policy names")
        have, unread, _ = cosigners(text, lines[1:], witnesses)
        whose = "your policy"
    enough = holds_quorum(quorum, needs, have)
    said = "%d witnesses of %d cosigned the head, %s by %s" % (len(have), len(witnesses), "a quorum" if enough and quorum != "none" else "no quorum", whose)
    need(enough or not policyfile, said + ("; not read here, for they are ML-DSA-44: " + ", ".join(unread) if unread else ""))
    print(said if witnesses else "no witness cosigned the head")
    return text + b"\n" + lines[0].encode() + b"\n"


def root_of(index, size, leaf, path):
    """The root an audit path leads to (RFC 9162, section 2.1.3.2)."""
    need(0 <= index < size, "a leaf is outside the log")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        need(sn > 0, "an audit path is too long")
        if fn & 1 or fn == sn:
            r = sha(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "an audit path is too short")
    return r


def check_consistent(old, new, old_root, new_root, path):
    """That the newer tree begins with the older one's leaves (RFC 9162, section 2.1.4.2)."""
    need(0 < old <= new, "a head is not older than the other")
    if old == new:
        return need(not path and old_root == new_root, "two heads of one size differ")
    path = path if old & (old - 1) else [old_root] + path
    need(path, "a consistency proof is too short")
    fn, sn, fr, sr = old - 1, new - 1, path[0], path[0]
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    for p in path[1:]:
        need(sn > 0, "a consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = sha(b"\x01" + p + fr), sha(b"\x01" + p + sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha(b"\x01" + sr + p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and fr == old_root and sr == new_root, "one head does not begin with the other's leaves")


def check_proof(data, leaf, digest, checkpoint, size, root):
    head, _, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    need(note == checkpoint, "proven against another checkpoint")
    need(lines[:2] == ["c2sp.org/tlog-proof@v1", "index %d" % leaf], "not a proof of this leaf")
    check_path([unbase64(x) for x in lines[2:]], leaf, digest, size, root)


def check_path(path, leaf, digest, size, root):
    need(all(len(p) == 32 for p in path), "a hash of another size")
    entry = b"habeas/v1 sha256 " + digest.hex().encode() + b"\n"
    need(root_of(leaf, size, sha(b"\x00" + entry), path) == root, "does not lead to the checkpoint's root")


def seconds(timestamp):
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", timestamp or "")
    need(m, "a time is missing or malformed")
    return calendar.timegm(time.strptime(m[1], "%Y-%m-%dT%H:%M:%S")) + float(m[2] or 0)


def one_spelling(value):
    """Fields have one name here, with underscores; other readers know them by a second one, which must not hide anything."""
    if isinstance(value, list):
        for v in value:
            one_spelling(v)
    for k, v in value.items() if isinstance(value, dict) else []:
        need(k == k.lower(), "the field %s is in another than its one spelling" % k)
        if k not in ("facts", "due_dates"):  # what they hold has names of its own
            one_spelling(v)


def parse(name, leaf, word, data):
    """A record without belief: what it says and what is signed."""
    envelope = load(data)
    need(envelope["payloadType"] == PAYLOAD and len(envelope["signatures"]) == 1, "not an envelope of one signature")
    payload, signature = unbase64(envelope["payload"]), envelope["signatures"][0]
    statement = load(payload)
    need(statement["_type"] == STATEMENT and statement["predicateType"] == PREDICATE % word, "not a statement of its type")
    says = statement["predicate"]
    one_spelling(says)
    need(says["origin"]["key_id"] == signature["keyid"], "the key in the payload is not the envelope's")
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
    return {"file": name, "leaf": int(leaf), "type": word, "says": says, "origin": says["origin"], "key": signature["keyid"],
            "digest": sha(data), "message": message, "signature": unbase64(signature["sig"])}


def check_signatures(records, authorities, known):
    """Goes through the log in its order: a record counts when its key was good at its place."""
    for r in records:
        key, issuer = known.get(r["key"]), r["origin"]["issuer"]
        der = authorities.get(r["key"]) or (key and key["der"])
        need(der, "%s: no key record names its key" % r["file"])
        need(signed(der, r["message"], r["signature"]), "%s: the signature does not hold" % r["file"])
        if key:
            at = seconds(r["origin"].get("time"))
            need(key["owner"] == issuer, "%s: signed with the key of %s" % (r["file"], key["owner"]))
            need(not key["revoked"] and at >= key["start"] - CLOCK_SKEW and at <= key["end"], "%s: its key was not valid" % r["file"])
        need(r["key"] in authorities or r["type"] in CONNECTORS_SIGN, "%s: %s may not sign this" % (r["file"], issuer))
        if r["type"] == "key":
            learn(known, r)


def learn(known, r):
    k = r["says"]
    der = unbase64(k["public_key"])
    need(len(der) == 44 and der.startswith(ED25519) and fingerprint(der) == k["fingerprint"], "%s: not an Ed25519 key with its fingerprint" % r["file"])
    end = seconds(k["not_after_time"]) if "not_after_time" in k else float("inf")
    new = {"der": der, "owner": k["owner"], "start": seconds(k.get("not_before_time")), "end": end, "revoked": k.get("revoked", False)}
    old = known.get(k["fingerprint"], new)
    need(old["owner"] == new["owner"], "%s: the key is %s's" % (r["file"], old["owner"]))
    known[k["fingerprint"]] = dict(new, start=min(old["start"], new["start"]), end=min(old["end"], new["end"]), revoked=old["revoked"] or new["revoked"])


def plan_digest(plan):
    def join(*fields):
        return "\t".join(str(f) for f in fields) + "\n"
    text = "".join(join("job", l["job_id"], l.get("connector", ""), l.get("connector_version", ""), l.get("manifest_digest", ""),
                        action(l), ",".join(l.get("kinds", [])), ",".join(l.get("stores", [])), l.get("stage", 0), l.get("key_id", ""),
                        *([",".join(l["excluded"])] if l.get("excluded") else []))
                   for l in sorted(plan.get("lines", []), key=lambda l: l["job_id"].encode()))
    text += "".join(join("omit", o["connector"], o.get("reason", ""), ",".join(o.get("kinds", [])))
                    for o in sorted(plan.get("omissions", []), key=lambda o: o["connector"].encode()))
    return sha(text.encode())


def action(message):
    return ACTIONS.index(message.get("action", "ACTION_UNSPECIFIED")[len("ACTION_"):])


def count(store, what):
    n = int(store.get(what + "_count", 0))
    need(n >= 0, "a count is negative")
    return n


def check_request(name, records):
    """That the records of one request add up; returns its lines for people."""
    of = lambda word: [r for r in records if r["type"] == word]
    need(len(of("intake")) == 1 and len(of("closure")) <= 1, "not one intake and at most one closure record")
    person = of("intake")[0]["says"].get("subject_commitment", "")
    for r in of("located") + of("outcome") + of("verification"):
        need(r["says"].get("subject_commitment", "") == person, "%s is about another person" % r["file"])
    for p in of("plan"):
        need(unbase64(p["says"].get("plan_digest", "")) == plan_digest(p["says"]), "plan_digest of %s is not that of its lines" % p["file"])
    plan = max((p["says"] for p in of("plan")), key=lambda p: p.get("round", 0), default={})
    lines = {l["job_id"]: dict(l, outcome="", counts=[]) for l in plan.get("lines", [])}
    for r in of("outcome"):
        l, says = lines.get(r["says"].get("job_id")), r["says"].get("outcome", {})
        need(l is not None, "%s answers a job that is in no plan" % r["file"])
        need(r["origin"]["issuer"] == l["connector"] and action(r["says"]) == action(l), "%s answers for another connector or action" % r["file"])
        result = [o for o in OUTCOMES if o in says]
        done = result and result[0] in SUCCESS and result[0] != "no_match"
        if result and (l["outcome"] not in SUCCESS or l["outcome"] == "no_match" and done):  # the first success, else the last word; something before nothing
            l["outcome"], l["counts"] = result[0], says.get("stores", [])
    for l in lines.values():
        check_counts(l, [r["says"] for r in of("located") if r["says"].get("job_id") == l["job_id"]])
    closure = of("closure")[0] if of("closure") else None
    if closure:
        check_closure(closure, records, plan, lines.values(), of("intake")[0]["says"].get("right"))
    yield "request %s: %s" % (name, closure["says"].get("result") if closure else "still open")
    for l in lines.values():
        total = {w: sum(count(s, w) for s in l["counts"]) for w in ("located", "kept", "remaining", "exported")}
        yield "  %-20s %-10s %-10s located %d, kept %d, remaining %d, copied out %d" % (
            l["connector"], l["action"][len("ACTION_"):].lower(), l["outcome"] or "no answer", total["located"], total["kept"], total["remaining"], total["exported"])


def check_counts(l, located):
    erased_well = action(l) == ACTIONS.index("ERASE") and l["outcome"] in SUCCESS
    found = kept = left = 0
    for s in l["counts"]:
        f, k, r, _ = (count(s, w) for w in ("located", "kept", "remaining", "exported"))
        need(not erased_well or f >= k + r, "job %s: more kept and left than was located" % l["job_id"])
        need(not k or s.get("basis"), "job %s: records kept without a basis" % l["job_id"])
        found, kept, left = found + f, kept + k, left + r
    need(l["outcome"] != "no_match" or found + kept + left == 0, "job %s says no_match and counts records" % l["job_id"])
    if not erased_well:
        return
    need(left == 0 and (l["outcome"] == "retained") == (kept > 0), "job %s says %s, kept %d and left %d" % (l["job_id"], l["outcome"], kept, left))
    place = lambda s: (s.get("store"), s.get("category"))
    for f in min(located, key=lambda x: x.get("attempt", 0), default={}).get("stores", []):
        have = sum(count(s, "located") for s in l["counts"] if place(s) == place(f))
        need(have >= count(f, "located"), "job %s: records that were located are not accounted for" % l["job_id"])


def check_closure(closure, records, plan, lines, right):
    named = {unbase64(d) for d in closure["says"].get("record_digests", [])}
    need(named <= {r["digest"] for r in records}, "records that the closure names are missing")
    need(all(r["leaf"] < closure["leaf"] for r in records if r["digest"] in named), "the closure was logged before a record it names")
    need(not plan or closure["says"].get("plan_digest", "") == plan.get("plan_digest", ""), "the closure is of another plan")
    result = closure["says"].get("result")
    if result not in ("complete", "complete_with_exceptions"):
        return
    need(lines or right in AT_THE_DESK, "said to be complete and there is no plan")
    good = {(l["connector"], action(l)) for l in lines if l["outcome"] in SUCCESS}
    for l in lines:
        need((l["connector"], action(l)) in good, "said to be %s and %s has no outcome that says so" % (result, l["connector"]))
        need(l["outcome"] != "retained" or result != "complete", "said to be complete and records were kept")
        only_looked = right == "delete" and action(l) == ACTIONS.index("LOCATE") and l["outcome"] == "done" and (l["connector"], ACTIONS.index("ERASE")) not in good
        need(not only_looked or not any(count(s, "located") for s in l["counts"]), "said to be %s and %s can't erase" % (result, l["connector"]))


def trusted(paths):
    """The keys in files: one a line, the log's or a room's."""
    log, rooms = None, {}
    for path in paths:
        with open(path) as f:
            for line in (x.strip() for x in f if x.strip() and x[0] not in "#-"):
                if re.match(r"[^ +]+\+[0-9a-f]{8}\+", line):
                    log = line
                else:
                    rooms[fingerprint(unbase64(line))] = unbase64(line)
    return log, rooms


def main(root, keyfiles, sample=None, policyfile=None):
    files, names = read_files(root)
    keys = load(files["keys.json"])
    need(json.dumps(keys, indent=2, ensure_ascii=False) + "\n" == files["keys.json"].decode(), "keys.json is not in its one right form")
    log, rooms = trusted(keyfiles)
    vkey = keys["log"]["verifier_key"]
    need(log in (None, vkey), "the log's key is not the one you trust")
    need(vkey.split("+")[0] == keys["log"]["origin"], "keys.json names a log by another name than its key")
    listed = {a["fingerprint"]: unbase64(a["public_key"]) for a in keys["authorities"]}
    need(all(fingerprint(der) == f for f, der in listed.items()), "keys.json: a fingerprint is not that of its key")
    size, root_hash = check_head(check_witnesses(files["checkpoints/end"], vkey, files["policy.txt"].decode(), policyfile), vkey)
    if "period.json" in files:
        main_period(root, files, names, vkey, size, root_hash, rooms or listed, sample)
        return keys_note(log and rooms)
    records = sorted((parse(n, *RECORD.match(n).groups(), files[n]) for n in names), key=lambda r: r["leaf"])
    need(len({r["leaf"] for r in records}) == len(records), "two records have one leaf")
    for r in records:
        try:
            check_proof(files[proof_of(r["file"])], r["leaf"], r["digest"], files["checkpoints/end"], size, root_hash)
        except Refused as e:
            raise Refused("%s: %s" % (proof_of(r["file"]), e))
    check_signatures(records, rooms or listed, {})
    requests = {}
    for r in records:
        if r["says"].get("request_id"):
            requests.setdefault(r["says"]["request_id"], []).append(r)
    need(requests, "there is no record of any request")
    for name in sorted(requests):
        print("\n".join(check_request(name, requests[name])))
    check_lists(files, [row(name, requests[name]) for name in sorted(requests)])
    print("holds: %d records under the head of %d leaves of %s" % (len(records), size, keys["log"]["origin"]))
    keys_note(log and rooms)


def keys_note(given):
    if not given:
        print("note: keys were taken from the pack itself; to know whose it is, get them another way and use --key")


def leaves_of(root, name):
    """The lines of a file of leaves: where each is, and what it says."""
    with open(os.path.join(root, *name.split("/")), "rb") as f:
        at = 0
        for line in f:
            yield at, read_leaf(name, line)
            at += len(line)


def read_leaf(name, line):
    l = load(line)
    need(json.dumps(l, separators=(",", ":")).encode() + b"\n" == line, "%s: a line is not in its one right form" % name)
    need(set(l) == {"leaf", "type", "path", "record" if "record" in l else "digest"} and list(l)[:2] == ["leaf", "type"] and list(l)[-1] == "path", "%s: a line is not one of a leaf" % name)
    need(type(l["leaf"]) is int and l["leaf"] >= 0 and re.fullmatch("[a-z]+", l["type"]), "%s: a line is not one of a leaf" % name)
    l["data"] = unbase64(l["record"]) if "record" in l else None
    need(l["data"] is not None or re.fullmatch("[0-9a-f]{64}", l["digest"]), "%s: a digest is malformed" % name)
    return l


def main_period(root, files, names, vkey, size, root_hash, authorities, sample):
    days = load(files["period.json"])
    need(json.dumps(days, indent=2) + "\n" == files["period.json"].decode() and list(days) == ["from", "to"] and days["from"] < days["to"], "period.json is malformed")
    start, _ = check_older(files, "start", vkey, size, root_hash)
    close, close_root = check_older(files, "close", vkey, size, root_hash)
    need(start <= close, "the period ends before it begins")
    known, places, order, retained, erased, intakes, last, records = {}, {}, [], [], {}, [], -1, 0
    types, following = {}, start
    for name in names:
        first = True
        for at, l in leaves_of(root, name):
            leaf, data = l["leaf"], l["data"]
            where = "leaf %d" % leaf
            need(leaf > last and (not first or name == "leaves/%012d.jsonl" % leaf), "%s: %s is not in its place" % (name, where))
            first, last = False, leaf
            digest = sha(data) if data is not None else bytes.fromhex(l["digest"])
            try:
                check_path([unbase64(p) for p in l["path"]], leaf, digest, size, root_hash)
            except Refused as e:
                raise Refused("%s: %s" % (where, e))
            inside = start <= leaf < close
            if inside:
                need(leaf == following, "leaf %d of the period is missing" % following)
                following += 1
                types[l["type"]] = types.get(l["type"], 0) + 1
            if data is None:
                need(l["type"] not in ("key", "retention"), "%s: a %s record is never destroyed, and it is missing" % (where, l["type"]))
                erased[leaf] = digest
                continue
            r = parse(where, leaf, l["type"], data)
            check_signatures([r], authorities, known)
            records += 1
            if r["type"] == "retention":
                a, b, n = (int(r["says"].get(w, 0)) for w in ("first_leaf", "last_leaf", "envelope_count"))
                retained += [(a, b, n)] if b else []  # else it is of something that is not in the log
            request = r["says"].get("request_id")
            if request:
                places.setdefault(request, []).append((name, at))
                if r["type"] == "intake" and inside:
                    order.append(request)
                    intakes.append(leaf)
    need(following == close, "leaves %d to %d of the period are missing" % (following, close - 1))
    for leaf in erased:
        need(any(a <= leaf <= b for a, b, _ in retained), "the record of leaf %d is missing and no retention record says that it was destroyed" % leaf)
    for a, b, _ in retained:
        gone, most = sum(a <= leaf <= b for leaf in erased), sum(n for c, d, n in retained if c <= b and a <= d)
        need(gone <= most, "%d records of leaves %d to %d are missing and the retention records count %d that were destroyed" % (gone, a, b, most))
    rows = [judge(root, request, places[request], set(erased.values())) for request in order]
    check_lists(files, rows)
    rows = [r for r, _ in rows]
    print("period: %s to before %s, leaves %d to %d, all %d here: %s" % (days["from"], days["to"], start, close - 1, close - start, ", ".join("%d %s" % (types[t], t) for t in sorted(types))))
    print("population: %d intake records, %d rows; %d still open" % (types.get("intake", 0), len(rows), sum(1 for r in rows if not r[6])))
    if erased:
        print("note: %d records were destroyed at the end of their retention; of what kind they were is not proven" % len(erased))
    for leaf in draw(close_root.hex(), intakes, *sample) if sample else []:
        print("sample: leaf %d, request %s" % (leaf, order[intakes.index(leaf)]))
    print("holds: %d records under the head of %d leaves of %s" % (records, size, vkey.split("+")[0]))


def check_older(files, which, vkey, size, root_hash):
    """An older head and that the newest begins with it."""
    path = [unbase64(x) for x in files["consistency/" + which].decode().splitlines()]
    need(b"".join(base64.b64encode(p) + b"\n" for p in path) == files["consistency/" + which] and all(len(p) == 32 for p in path), "consistency/%s is malformed" % which)
    name = "checkpoints/" + which
    old, old_root = check_head(files[name], vkey, name) if name in files else (0, sha(b""))
    if old == 0:
        need(not path and old_root == sha(b""), "an empty log is proven by nothing")
    else:
        check_consistent(old, size, old_root, root_hash, path)
    return old, old_root


def judge(root, request, places, erased):
    """Reads a request's records again, checks that they add up, and returns its row of population.csv."""
    records = []
    for name, at in places:
        with open(os.path.join(root, *name.split("/")), "rb") as f:
            f.seek(at)
            l = read_leaf(name, f.readline())
        records.append(parse("leaf %d" % l["leaf"], l["leaf"], l["type"], l["data"]))
    closure = newest(records, "closure")
    gone = {unbase64(d) for d in closure["says"].get("record_digests", [])} & erased if closure else set()
    if not gone:  # else what is left can't be judged
        for _ in check_request(request, records):
            pass
    return row(request, records)


def newest(records, word):
    return next((r for r in reversed(records) if r["type"] == word), None)


def row(request, records):
    """A request's row of population.csv, and how many days its answer took, if it has one."""
    intake, closure = newest(records, "intake"), newest(records, "closure")
    says, end = intake["says"], closure["says"] if closure else {}
    answered = end.get("answer_time", "")[:10]
    took = [days(says.get("receive_time"), end.get("answer_time"))] if closure else []
    return [request, says.get("regime", ""), says.get("right", ""), says.get("channel", ""), says.get("receive_date", ""), answered,
            end.get("result", ""), end.get("reason_code", ""), str(intake["leaf"]), str(closure["leaf"] if closure else -1), str(len(records))], took


def days(since, until):
    def nanos(timestamp):
        if not timestamp:
            return 0
        whole, _, part = timestamp.rstrip("Z").partition(".")
        return int(seconds(whole + "Z")) * 10**9 + int((part + "0" * 9)[:9])
    took, hour = nanos(until) - nanos(since), 3600 * 10**9
    whole, rest = divmod(abs(took), hour)
    return (1 if took >= 0 else -1) * (float(whole) + float(rest) / hour) / 24


def check_lists(files, rows):
    """That population.csv and metrics.csv say what the records say."""
    def listed(name, want):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(want)
        need(text.getvalue().encode() == files[name], "%s does not say what the %d intake records and their answers say" % (name, len(rows)))
    listed("population.csv", [POPULATION] + [r for r, _ in rows])
    metrics = []
    for right in sorted({r[2] for r, _ in rows}, key=str.encode):
        results, took = [r[6] for r, _ in rows if r[2] == right], sorted(d for r, t in rows if r[2] == right for d in t)
        middle = total = 0.0
        for d in took:
            total += d
        if took:
            middle = (took[(len(took) - 1) // 2] + took[len(took) // 2]) / 2
        metrics.append([right, len(results), results.count("complete"), results.count("complete_with_exceptions") + results.count("partial"), results.count("denied"),
                        results.count("cancelled"), results.count(""), "%.1f" % middle if took else "", "%.1f" % (total / len(took)) if took else ""])
    listed("metrics.csv", [METRICS] + metrics)


def draw(root, leaves, n, word):
    ticket = lambda leaf: sha(("habeas sample v1\n%s\n%s\n%d\n" % (root, word, leaf)).encode())
    return sorted(leaves, key=ticket)[:n]


if __name__ == "__main__":
    args, keyfiles, draws = sys.argv[1:], [], {"--sample": None, "--word": "", "--policy": None}
    while "--key" in args:
        at = args.index("--key")
        keyfiles += args[at + 1:at + 2]
        del args[at:at + 2]
    for option in draws:
        if option in args:
            at = args.index(option)
            draws[option] = args[at + 1]
            del args[at:at + 2]
    try:
        sample = (int(draws["--sample"]), draws["--word"].strip()) if draws["--sample"] else None
        main(args[0] if args else os.path.dirname(os.path.abspath(__file__)), keyfiles, sample, draws["--policy"])
    except (Refused, KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as e:
        print("REFUSED: %s: %s" % (type(e).__name__, e) if not isinstance(e, Refused) else "REFUSED: %s" % e, file=sys.stderr)
        sys.exit(1)
