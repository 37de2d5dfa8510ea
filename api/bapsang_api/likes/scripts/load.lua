-- Put a post's likes, read from the database, in place.
-- KEYS: users set, count, delta hash, claim hash, loader's token, staged set.
-- ARGV: the loader's token, milliseconds after which a set without pending changes expires. Returns the count, or -1 when
-- another loader has taken over: then what was staged may be older than what that one put in place.
if redis.call('GET', KEYS[5]) ~= ARGV[1] then
  redis.call('DEL', KEYS[6])
  return -1
end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[6]) == 1 then
  redis.call('RENAME', KEYS[6], KEYS[1])
  redis.call('PERSIST', KEYS[1])
end
-- What changed while the database was being read: first the claim, then the newer delta.
for _, key in ipairs({KEYS[4], KEYS[3]}) do
  local changes = redis.call('HGETALL', key)
  for i = 1, #changes, 2 do
    redis.call(changes[i + 1] == '1' and 'SADD' or 'SREM', KEYS[1], changes[i])
  end
end
local count = redis.call('SCARD', KEYS[1])
redis.call('SET', KEYS[2], count)
if redis.call('EXISTS', KEYS[3], KEYS[4]) == 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
redis.call('DEL', KEYS[5])
return count
