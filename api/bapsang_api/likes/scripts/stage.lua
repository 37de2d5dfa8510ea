-- Put some of a post's likes aside, as a set or a bitmap, and renew the right to load.
-- KEYS: loader's token, staged key. ARGV: token, milliseconds, 1 for a bitmap, users' numbers ...
-- Returns 0 when the right has ended.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[3] == '1' then
  for i = 4, #ARGV do
    redis.call('SETBIT', KEYS[2], ARGV[i], 1)
  end
elseif #ARGV > 3 then
  redis.call('SADD', KEYS[2], unpack(ARGV, 4))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], 2 * ARGV[2])
return 1
