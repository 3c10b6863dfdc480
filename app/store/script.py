"""The scripts that change what is stored about a user: each changes all of it or nothing. Commands of Redis 6.2 only.

For the form of values see `app.store.state`. Items are looked for by their hash in the bytes of a value, which Lua does
in C: 10,000 of them take some 20 microseconds.
"""

from functools import cache
from hashlib import sha1
from typing import NamedTuple

PUT = """
-- Behind how many bytes a record of this time belongs. Looked for from the end, where most of them belong.
local function place(records, size, time)
  local at = #records
  while at > 0 and struct.unpack('<d', records, at - size + 1) > time do at = at - size end
  return at
end
-- Note the time of an item, unless a later one (or the same) is known, and keep the newest `limit`.
local function put(marks, mark, limit)
  local time, item, from = struct.unpack('<d', mark), string.sub(mark, 9), 1
  while true do
    local found = string.find(marks, item, from, true)
    if not found then break end
    if found % 16 == 9 then
      if struct.unpack('<d', marks, found - 8) >= time then return marks end
      marks = string.sub(marks, 1, found - 9) .. string.sub(marks, found + 8)
      break
    end
    from = found + 1
  end
  local at = place(marks, 16, time)
  marks = string.sub(marks, 1, at) .. mark .. string.sub(marks, at + 1)
  return string.sub(marks, -16 * limit)
end
"""

RECORD = (
    PUT
    + """
-- KEYS: history, seen, hidden, steering, then one key for each event that has an id, in order.
-- ARGV: history_limit, seen_limit, hidden_limit, seconds to live, then for each event: mark (time, hash of the item
-- id), record of the history ('' for none), item id, flags ('s' seen, 'h' hidden, 'i' has an id).
-- Returns 1 (recorded) or 0 (repeated) for each event; -1, and changes nothing, where a key holds another type.
local function load(key)
  local found = redis.pcall('GET', key)
  if type(found) == 'table' then return nil end
  return found or ''
end
local old, seen, hidden = load(KEYS[1]), load(KEYS[2]), load(KEYS[3])
if not (old and seen and hidden) then return -1 end
local n, records, ids = 0, '', ''
if #old > 0 then
  n = struct.unpack('<I4', old)
  records, ids = string.sub(old, 5, 4 + 28 * n), string.sub(old, 5 + 28 * n)
end
local old_records, old_seen, old_hidden = records, seen, hidden
local results, next_id = {}, 5
for at = 5, #ARGV, 4 do
  local mark, record, id, flags = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local new = true
  if string.find(flags, 'i', 1, true) then
    new = redis.call('SET', KEYS[next_id], '1', 'NX', 'EX', 86400) and true
    next_id = next_id + 1
  end
  if new then
    if record ~= '' then
      local behind, n_bytes = place(records, 28, struct.unpack('<d', record)), #ids
      for later = behind, #records - 28, 28 do n_bytes = n_bytes - struct.unpack('<H', records, later + 25) end
      records = string.sub(records, 1, behind) .. record .. string.sub(records, behind + 1)
      ids = string.sub(ids, 1, n_bytes) .. id .. string.sub(ids, n_bytes + 1)
      n = n + 1
      while n > tonumber(ARGV[1]) do
        ids = string.sub(ids, 1 + struct.unpack('<H', records, 25))
        records = string.sub(records, 29)
        n = n - 1
      end
    end
    if string.find(flags, 's', 1, true) then seen = put(seen, mark, ARGV[2]) end
    if string.find(flags, 'h', 1, true) then hidden = put(hidden, mark, ARGV[3]) end
  end
  results[#results + 1] = new and 1 or 0
end
local function store(key, before, after, value)
  if before == after then redis.call('EXPIRE', key, ARGV[4]) else redis.call('SET', key, value, 'EX', ARGV[4]) end
end
store(KEYS[1], old_records, records, struct.pack('<I4', n) .. records .. ids)
store(KEYS[2], old_seen, seen, seen)
store(KEYS[3], old_hidden, hidden, hidden)
redis.call('EXPIRE', KEYS[4], ARGV[4])
return results
"""
)

SERVE = (
    PUT
    + """
-- KEYS: served. ARGV: limit, seconds to live, then marks.
local marks = redis.call('GET', KEYS[1]) or ''
for at = 3, #ARGV do marks = put(marks, ARGV[at], ARGV[1]) end
redis.call('SET', KEYS[1], marks, 'EX', ARGV[2])
return 1
"""
)

REPLACE = """
-- KEYS: n keys. ARGV: seconds to live, n values that are expected, n values to store ('' stands for no key).
-- Returns 1; 0, and changes nothing, where a key holds something else by now.
for at, key in ipairs(KEYS) do
  if (redis.call('GET', key) or '') ~= ARGV[1 + at] then return 0 end
end
for at, key in ipairs(KEYS) do
  local value = ARGV[1 + #KEYS + at]
  if value == '' then redis.call('UNLINK', key) else redis.call('SET', key, value, 'EX', ARGV[1]) end
end
return 1
"""

ADOPT = """
-- KEYS: three sorted sets of an earlier version, and its counter. ARGV: seconds to live, then what to store instead.
-- A key that is no sorted set stays as it is: it was adopted before.
for at = 1, 3 do
  if redis.call('TYPE', KEYS[at]).ok == 'zset' then
    redis.call('DEL', KEYS[at])
    redis.call('SET', KEYS[at], ARGV[1 + at], 'EX', ARGV[1])
  end
end
redis.call('UNLINK', KEYS[4])
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


RECORDING, SERVING, REPLACING, ADOPTING = (Script.of(text) for text in (RECORD, SERVE, REPLACE, ADOPT))
