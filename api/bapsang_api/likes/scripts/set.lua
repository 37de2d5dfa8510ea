-- Set or toggle one user's like of one post.
-- KEYS: users set, bitmap, size, delta hash, dirty zset.
-- ARGV: user's number, user id, wanted state (1, 0, or -1 to toggle), post id, now (ms), size from which a set becomes a bitmap.
-- Returns {liked, size}, or {-1, 0} when the post's likes are not loaded.
-- A size that is missing or differs from the set means that Redis lost one of the keys: load again, never guess.
local size = redis.call('GET', KEYS[3])
local compact = redis.call('EXISTS', KEYS[2]) == 1
if not size or not (compact or tonumber(size) == redis.call('SCARD', KEYS[1])) then
  return {-1, 0}
end
size = tonumber(size)
local was
if compact then
  was = redis.call('GETBIT', KEYS[2], ARGV[1])
else
  was = redis.call('SISMEMBER', KEYS[1], ARGV[1])
end
local wanted = tonumber(ARGV[3])
if wanted == -1 then
  wanted = 1 - was
end
if wanted == was then
  return {wanted, size}
end
redis.call('HSET', KEYS[4], ARGV[2], wanted)
redis.call('ZADD', KEYS[5], 'NX', ARGV[5], ARGV[4])
size = redis.call(wanted == 1 and 'INCR' or 'DECR', KEYS[3])
if compact then
  redis.call('SETBIT', KEYS[2], ARGV[1], wanted)
else
  redis.call(wanted == 1 and 'SADD' or 'SREM', KEYS[1], ARGV[1])
  if size >= tonumber(ARGV[6]) then
    -- Once in a post's life, and never for more members than the limit.
    for _, number in ipairs(redis.call('SMEMBERS', KEYS[1])) do
      redis.call('SETBIT', KEYS[2], number, 1)
    end
    redis.call('UNLINK', KEYS[1])
  end
end
-- Only what is written back may expire.
for i = 1, 3 do
  redis.call('PERSIST', KEYS[i])
end
return {wanted, size}
