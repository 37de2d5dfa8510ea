-- Claim the views of up to ARGV[1] posts for writing back.
-- KEYS: views by post: not yet claimed, claimed, written. ARGV: how many posts at most, 1 at the beginning of a run.
-- Returns post id, views, post id, views ... A claim that a run has left is dropped: whether it was committed nobody knows, and to
-- lose views is better than to count them twice.
redis.call('DEL', KEYS[2])
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[3])
end
local claimed = {}
local cursor = '0'
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', ARGV[1])
  cursor = page[1]
  for i = 1, #page[2], 2 do
    if #claimed < 2 * tonumber(ARGV[1]) then
      claimed[#claimed + 1] = page[2][i]
      claimed[#claimed + 1] = page[2][i + 1]
      redis.call('HDEL', KEYS[1], page[2][i])
      redis.call('HSET', KEYS[2], page[2][i], page[2][i + 1])
    end
  end
until cursor == '0' or #claimed >= 2 * tonumber(ARGV[1])
return claimed
