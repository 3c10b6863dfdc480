"""The script that records events: the user's state and the idempotency keys change together.

KEYS: history, seen, hidden, arrivals, then one key for each event that has an id, in order.
ARGV: history_limit, seen_limit, hidden_limit, seconds to live, then for each event: timestamp, hash of the item id (8
bytes), history entry ("" for none), marks ("s" seen, "h" hidden, "i" has an id).
Returns 1 (recorded) or 0 (repeated) for each event. Commands of Redis 6.2 only.
"""

from hashlib import sha1

RECORD = """
local history, seen, hidden, arrivals = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local results, next_id = {}, 5
for at = 5, #ARGV, 4 do
  local timestamp, item, entry, marks = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local new = true
  if string.find(marks, 'i', 1, true) then
    new = redis.call('SET', KEYS[next_id], '1', 'NX', 'EX', 86400) and true
    next_id = next_id + 1
  end
  if new then
    if entry ~= '' then
      -- Members of one timestamp are ordered by their bytes: the arrival number stands first, big-endian.
      local arrival = redis.call('INCR', arrivals)
      redis.call('ZADD', history, timestamp, struct.pack('>I8', arrival) .. entry)
    end
    if string.find(marks, 's', 1, true) then redis.call('ZADD', seen, 'GT', timestamp, item) end
    if string.find(marks, 'h', 1, true) then redis.call('ZADD', hidden, 'GT', timestamp, item) end
  end
  results[#results + 1] = new and 1 or 0
end
for number = 1, 3 do
  redis.call('ZREMRANGEBYRANK', KEYS[number], 0, -1 - ARGV[number])
end
for number = 1, 4 do
  redis.call('EXPIRE', KEYS[number], ARGV[4])
end
return results
"""

RECORD_SHA = sha1(RECORD.encode(), usedforsecurity=False).hexdigest()
"""The name by which Redis knows the script once it is loaded."""
