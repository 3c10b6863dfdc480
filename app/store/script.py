"""The scripts that change what is stored: each changes all of it or nothing. Commands of Redis 6.2 only.

For the form of values see `app.store.state`. Items are looked for by their hash in the bytes of a value, which Lua does
in C: 10,000 of them take some 20 microseconds.
"""

from functools import cache
from hashlib import sha1
from typing import NamedTuple

MERGE = """
-- All of a run's records are put into a value at once: strings of Lua are copied whole with each change.
local function by_time(one, other)
  if one.time ~= other.time then return one.time < other.time end
  return one.arrival < other.arrival
end
-- Puts records of `size` bytes, as {time, arrival, record}, where they belong by time, behind old ones of that time.
-- Looked for from the end, where most belong. `hop` is told between which bytes old ones stand behind each, last first.
local function merge(old, new, size, hop)
  table.sort(new, by_time)
  local parts, tail = {}, #old
  for number = #new, 1, -1 do
    local at = tail
    while at > 0 and struct.unpack('<d', old, at - size + 1) > new[number].time do at = at - size end
    if at < tail then parts[#parts + 1] = string.sub(old, at + 1, tail) end
    parts[#parts + 1] = new[number].record
    if hop then hop(at, tail, new[number]) end
    tail = at
  end
  parts[#parts + 1] = tail < #old and string.sub(old, 1, tail) or old
  for low = 1, #parts / 2 do
    local high = #parts + 1 - low
    parts[low], parts[high] = parts[high], parts[low]
  end
  return table.concat(parts)
end
-- Notes items with their times, unless a later one (or the same) is known, and keeps the newest `limit`.
local function put(old, marks, limit)
  local latest, items = {}, {}
  for arrival, mark in ipairs(marks) do
    local item, time = string.sub(mark, 9), struct.unpack('<d', mark)
    local known = latest[item]
    if not known then items[#items + 1] = item end
    if not known or known.time < time then latest[item] = {time = time, arrival = arrival, record = mark} end
  end
  local new, gone = {}, {}
  for _, item in ipairs(items) do
    local from, known = 1, nil
    repeat
      known = string.find(old, item, from, true)
      from = known and known + 1
    until not known or known % 16 == 9
    if not known or struct.unpack('<d', old, known - 8) < latest[item].time then
      new[#new + 1] = latest[item]
      if known then gone[#gone + 1] = known - 9 end
    end
  end
  if #new == 0 then return old end
  if #gone > 0 then
    table.sort(gone)
    local parts, from = {}, 1
    for number, at in ipairs(gone) do
      parts[number] = string.sub(old, from, at)
      from = at + 17
    end
    parts[#parts + 1] = string.sub(old, from)
    old = table.concat(parts)
  end
  return string.sub(merge(old, new, 16), -16 * limit)
end
"""

RECORD = (
    MERGE
    + """
-- KEYS: history, seen, hidden, steering, log, then one key for each event that has an id, in order.
-- ARGV: history_limit, seen_limit, hidden_limit, seconds to live, entries that the log may hold (0: there is none),
-- then for each event: mark (time, hash of the item id), record of the history ('' for none), item id, flags ('s' seen,
-- 'h' hidden, 'i' has an id), entry of the log.
-- Returns 1 (recorded) or 0 (repeated) for each event; nil, and changes nothing, where the log is full.
local log_limit = tonumber(ARGV[5])
if log_limit > 0 and redis.call('XLEN', KEYS[5]) >= log_limit then return false end
local function load(key) return redis.call('GET', key) or '' end
local history, seen, hidden = load(KEYS[1]), load(KEYS[2]), load(KEYS[3])
local n = #history > 0 and struct.unpack('<I4', history) or 0
local results, acts, sights, hides, next_id = {}, {}, {}, {}, 6
for at = 6, #ARGV, 5 do
  local mark, record, id, flags, entry = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local new = true
  if string.find(flags, 'i', 1, true) then
    new = redis.call('SET', KEYS[next_id], '1', 'NX', 'EX', 86400) and true
    next_id = next_id + 1
  end
  if new then
    -- Before the state: a full Redis refuses the first write of a script and no later one.
    if log_limit > 0 then redis.call('XADD', KEYS[5], '*', 'e', entry) end
    if record ~= '' then
      acts[#acts + 1] = {time = struct.unpack('<d', record), arrival = #acts, record = record, id = id}
    end
    if string.find(flags, 's', 1, true) then sights[#sights + 1] = mark end
    if string.find(flags, 'h', 1, true) then hides[#hides + 1] = mark end
  end
  results[#results + 1] = new and 1 or 0
end
-- An item id stands in the same place as its record.
local function with(history, acts, limit)
  local records, ids = string.sub(history, 5, 4 + 28 * n), string.sub(history, 5 + 28 * n)
  local parts, tail = {}, #ids
  local function length(from, to)
    local total = 0
    for at = from, to - 28, 28 do total = total + struct.unpack('<H', records, at + 25) end
    return total
  end
  records = merge(records, acts, 28, function(from, to, act)
    local at = tail - length(from, to)
    table.insert(parts, 1, string.sub(ids, at + 1, tail))
    table.insert(parts, 1, act.id)
    tail = at
  end)
  table.insert(parts, 1, string.sub(ids, 1, tail))
  ids = table.concat(parts)
  local over = 28 * math.max(0, n + #acts - limit)
  ids = string.sub(ids, 1 + length(0, over))
  return struct.pack('<I4', math.min(n + #acts, limit)) .. string.sub(records, 1 + over) .. ids
end
local function store(key, before, after)
  if before == after then redis.call('EXPIRE', key, ARGV[4]) else redis.call('SET', key, after, 'EX', ARGV[4]) end
end
store(KEYS[1], history, #acts > 0 and with(history, acts, tonumber(ARGV[1])) or history)
store(KEYS[2], seen, #sights > 0 and put(seen, sights, ARGV[2]) or seen)
store(KEYS[3], hidden, #hides > 0 and put(hidden, hides, ARGV[3]) or hidden)
redis.call('EXPIRE', KEYS[4], ARGV[4])
return results
"""
)

SERVE = (
    MERGE
    + """
-- KEYS: served. ARGV: limit, seconds to live, then marks.
local marks = {}
for at = 3, #ARGV do marks[#marks + 1] = ARGV[at] end
redis.call('SET', KEYS[1], put(redis.call('GET', KEYS[1]) or '', marks, ARGV[1]), 'EX', ARGV[2])
return 1
"""
)

REPLACE = """
-- KEYS: n keys. ARGV: seconds to live at least, n values that are expected, n values to store ('' stands for no key).
-- Returns 1; 0, and changes nothing, where a key holds something else by now.
for at, key in ipairs(KEYS) do
  if (redis.call('GET', key) or '') ~= ARGV[1 + at] then return 0 end
end
for at, key in ipairs(KEYS) do
  local value, left = ARGV[1 + #KEYS + at], redis.call('TTL', key)
  if value == '' then
    redis.call('UNLINK', key)
  else
    redis.call('SET', key, value, 'EX', math.max(tonumber(ARGV[1]), left))
  end
end
return 1
"""

RESTORE = (
    """
-- KEYS: gone, then those of REPLACE. Returns what that does; 2, and changes nothing, where the user was forgotten.
if redis.call('EXISTS', table.remove(KEYS, 1)) == 1 then return 2 end
"""
    + REPLACE
)

FORGET = """
-- KEYS: log, gone, then n keys. ARGV: entries that the log may hold (0: there is none), entry of the log, then nothing,
-- or the n values that are expected.
-- Returns 1; 0, and changes nothing, where a key holds something else by now; nil where the log is full.
local log_limit = tonumber(ARGV[1])
if log_limit > 0 and redis.call('XLEN', KEYS[1]) >= log_limit then return false end
for at = 3, #ARGV do
  if (redis.call('GET', KEYS[at]) or '') ~= ARGV[at] then return 0 end
end
-- First, for a full Redis refuses what needs memory only as the first write of a script.
for at = 3, #KEYS do redis.call('UNLINK', KEYS[at]) end
if log_limit > 0 then
  redis.call('XADD', KEYS[1], '*', 'e', ARGV[2])
  redis.call('SET', KEYS[2], '', 'EX', 86400)
end
return 1
"""


EDIT = """
-- KEYS: edits, their version. ARGV: the version that is expected ('' for none), the new one, then ids of segments, each
-- with its edit ('' stands for none).
-- Returns 1; 0, and changes nothing, where the edits are of another version by now.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[at])
  else
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  end
end
return 1
"""


class Script(NamedTuple):
    """A script and the name by which Redis knows it once it is loaded."""

    text: str
    sha: str

    @classmethod
    @cache
    def of(cls, text: str) -> "Script":
        """Of its text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


RECORDING, SERVING, REPLACING, RESTORING, FORGETTING, EDITING = (
    Script.of(text) for text in (RECORD, SERVE, REPLACE, RESTORE, FORGET, EDIT)
)
