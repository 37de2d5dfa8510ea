-- Set or toggle one user's like of one post.
-- KEYS: users set, count, delta hash, dirty zset. ARGV: user id, wanted state (1, 0, or -1 to toggle), post id, now (ms).
-- Returns {liked, count}, or {-1, 0} when the post's likes are not loaded.
-- A count that is missing or differs from the set means that Redis lost one of the two keys: load again, never guess.
local count = redis.call('GET', KEYS[2])
if not count or tonumber(count) ~= redis.call('SCARD', KEYS[1]) then
  return {-1, 0}
end
local wanted = tonumber(ARGV[2])
if wanted == -1 then
  wanted = 1 - redis.call('SISMEMBER', KEYS[1], ARGV[1])
end
local changed
if wanted == 1 then
  changed = redis.call('SADD', KEYS[1], ARGV[1])
else
  changed = redis.call('SREM', KEYS[1], ARGV[1])
end
if changed == 1 then
  redis.call('HSET', KEYS[3], ARGV[1], wanted)
  redis.call('ZADD', KEYS[4], 'NX', ARGV[4], ARGV[3])
  count = redis.call(wanted == 1 and 'INCR' or 'DECR', KEYS[2])
  -- Only what is written back may expire.
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
end
return {wanted, tonumber(count)}
