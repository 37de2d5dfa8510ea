-- Become the one who loads a post's likes, unless somebody else is at it.
-- KEYS: loader's token, size, epoch. ARGV: token, milliseconds the right lasts.
-- Returns 1 when the right was given, 0 when somebody else has it, -1 when there is no epoch: Redis has lost everything, and a
-- write-back may still be committing claims that nobody can see any more. From 1 on nobody trusts what Redis holds of the
-- post, so nothing changes during the load.
if redis.call('EXISTS', KEYS[3]) == 0 then
  return -1
end
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
redis.call('DEL', KEYS[2])
return 1
