-- Ends a request with an Idempotency-Key, unless its reservation has lapsed and another request holds the key by now.
-- KEYS: the key, how many records its sender has made. ARGV: the reservation, the record ('' when nothing is kept),
-- seconds to keep it. As long are the sender's records counted, from the first on.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  if redis.call('INCR', KEYS[2]) == 1 then
    redis.call('EXPIRE', KEYS[2], ARGV[3])
  end
end
return 1
