-- Look at a post's likes for the reconciliation, and mend a lost mark.
-- KEYS: users set, bitmap, size, delta hash, claim hash, dirty zset. ARGV: post id, now (ms).
-- Returns the size, or -1 when there is nothing to compare: not loaded, or changes are pending.
if redis.call('EXISTS', KEYS[4], KEYS[5]) > 0 then
  -- Pending changes of a post that is not marked dirty would never be written back.
  redis.call('ZADD', KEYS[6], 'NX', ARGV[2], ARGV[1])
  return -1
end
local size = redis.call('GET', KEYS[3])
if not size then
  return -1
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('BITCOUNT', KEYS[2]) ~= tonumber(size) then
    -- A set whose size is wrong is never trusted; counting a bitmap at each like would cost too much, so it is done here.
    redis.call('DEL', KEYS[3])
    return -1
  end
  return tonumber(size)
end
return tonumber(size) == redis.call('SCARD', KEYS[1]) and tonumber(size) or -1
