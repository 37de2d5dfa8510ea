-- Put a post's likes, read from the database and staged, in place, overlaid by what is not yet written back.
-- KEYS: users set, bitmap, size, delta hash, claim hash, loader's token, staged key.
-- ARGV: token, milliseconds after which likes without pending changes expire, 1 for a bitmap, how many likes were staged, then
-- user id, number, user id ... of those with pending changes; 0 is the number of a user who is gone. Returns 1, or 0 when it has
-- to be done again: another loader took over, a write-back ended meanwhile (its rows may be missing in what was staged), Redis lost
-- what was staged, or a new user's change came in.
local staged, target = KEYS[7], ARGV[3] == '1' and KEYS[2] or KEYS[1]
if redis.call('GET', KEYS[6]) ~= ARGV[1] then
  redis.call('UNLINK', staged)
  return 0
end
-- The loader counts, not Redis: a power loss may leave the token and take what was staged under it.
if redis.call(target == KEYS[2] and 'BITCOUNT' or 'SCARD', staged) ~= tonumber(ARGV[4]) then
  redis.call('UNLINK', staged, KEYS[6])
  return 0
end
local numbers, changes = {}, {}
for i = 5, #ARGV, 2 do
  numbers[ARGV[i]] = ARGV[i + 1]
end
-- First the claim, then the newer delta.
for _, key in ipairs({KEYS[5], KEYS[4]}) do
  local pending = redis.call('HGETALL', key)
  for i = 1, #pending, 2 do
    if pending[i] ~= 'id' then
      if not numbers[pending[i]] then
        redis.call('UNLINK', staged, KEYS[6])
        return 0
      end
      changes[#changes + 1] = {numbers[pending[i]], pending[i + 1]}
    end
  end
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[6])
if redis.call('EXISTS', staged) == 1 then
  redis.call('RENAME', staged, target)
  redis.call('PERSIST', target)
end
for _, change in ipairs(changes) do
  if change[1] ~= '0' then
    if target == KEYS[2] then
      redis.call('SETBIT', target, change[1], change[2])
    else
      redis.call(change[2] == '1' and 'SADD' or 'SREM', target, change[1])
    end
  end
end
redis.call('SET', KEYS[3], redis.call(target == KEYS[2] and 'BITCOUNT' or 'SCARD', target))
if redis.call('EXISTS', KEYS[4], KEYS[5]) == 0 then
  redis.call('PEXPIRE', target, ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
return 1
