-- Reserves a key for the request that comes with it first.
-- KEYS: the key, how many records its sender has made. ARGV: the reservation, seconds it lasts, most records.
-- Returns what the key holds already, '' when nothing, and in how many seconds its sender may make one more record, 0 when
-- the key is reserved now.
local known = redis.call('GET', KEYS[1])
if known then
  return {known, 0}
end
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[3]) then
  return {'', math.max(1, redis.call('TTL', KEYS[2]))}
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return {'', 0}
