-- Tell whether a user likes a post and how many do, as far as Redis knows.
-- KEYS: users set, bitmap, size, size as the release before wrote it, delta hash, claim hash. ARGV: user's number, user id.
-- Returns {liked, size}. liked is -1 when the answer is in the database: the likes are not loaded and none of the user's is
-- pending. size is -1 when the likes are not loaded.
local size = redis.call('GET', KEYS[3])
if size and redis.call('EXISTS', KEYS[4]) == 0 then
  size = tonumber(size)
  if redis.call('EXISTS', KEYS[2]) == 1 then
    return {redis.call('GETBIT', KEYS[2], ARGV[1]), size}
  end
  if size == redis.call('SCARD', KEYS[1]) then
    return {redis.call('SISMEMBER', KEYS[1], ARGV[1]), size}
  end
end
local pending = redis.call('HGET', KEYS[5], ARGV[2]) or redis.call('HGET', KEYS[6], ARGV[2])
return {pending and tonumber(pending) or -1, -1}
