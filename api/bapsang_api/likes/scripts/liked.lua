-- Tell whether a user likes a post, as far as Redis knows.
-- KEYS: users set, count, delta hash, claim hash. ARGV: user id.
-- Returns 1 or 0, or -1 when the answer is in the database: the likes are not loaded and none of the user's is pending.
local count = redis.call('GET', KEYS[2])
if count and tonumber(count) == redis.call('SCARD', KEYS[1]) then
  return redis.call('SISMEMBER', KEYS[1], ARGV[1])
end
local pending = redis.call('HGET', KEYS[3], ARGV[1]) or redis.call('HGET', KEYS[4], ARGV[1])
return pending and tonumber(pending) or -1
