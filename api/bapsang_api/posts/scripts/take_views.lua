-- Take the pending views of up to ARGV[1] posts out of Redis.
-- KEYS: pending views by post. ARGV: how many posts at most. Returns post id, views, post id, views ...
-- Taken before they are written: a crash in between loses views, which is better than counting them twice.
local taken = {}
local cursor = '0'
repeat
  local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', ARGV[1])
  cursor = page[1]
  for i = 1, #page[2], 2 do
    if #taken < 2 * tonumber(ARGV[1]) then
      taken[#taken + 1] = page[2][i]
      taken[#taken + 1] = page[2][i + 1]
      redis.call('HDEL', KEYS[1], page[2][i])
    end
  end
until cursor == '0' or #taken >= 2 * tonumber(ARGV[1])
return taken
