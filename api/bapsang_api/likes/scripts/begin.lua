-- Become the one who loads a post's likes, unless somebody else is at it.
-- KEYS: loader's token, size, size as the release before wrote it. ARGV: token, milliseconds the right lasts.
-- Returns 1 when the right was given. From then on nobody trusts what Redis holds, so nothing changes during the load.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3])
return 1
