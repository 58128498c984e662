/*
 * An MQTT 3.1.1 publisher on lwIP, as Debian packages it (liblwip-dev): a TCP/IP
 * stack of an embedded kind that nobody here wrote, at the TAP that
 * PRECONFIGURED_TAPIF names. It publishes with QoS 1 and waits for each PUBACK.
 * When the connection ends it connects again and sends what was not acknowledged.
 *
 *   lwip-client ADDRESS NETMASK BROKER PORT MESSAGES PERIOD_MS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/api.h"
#include "lwip/etharp.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "netif/tapif.h"

static struct netif netif;
static ip4_addr_t address, netmask, gateway;

static void bring_up(void *done) {
  netif_add(&netif, &address, &netmask, &gateway, NULL, tapif_init, tcpip_input);
  netif_set_default(&netif);
  netif_set_up(&netif);
  netif_set_link_up(&netif);
  sys_sem_signal((sys_sem_t *)done);
}

static struct netconn *conn;
static unsigned char in[64];
static size_t held;

/* receive reads until want bytes are there. */
static int receive(size_t want) {
  while (held < want) {
    struct netbuf *buf;
    if (netconn_recv(conn, &buf) != ERR_OK) return -1;
    do {
      void *data;
      u16_t n;
      netbuf_data(buf, &data, &n);
      if (held + n > sizeof in) n = sizeof in - held;
      memcpy(in + held, data, n);
      held += n;
    } while (netbuf_next(buf) >= 0);
    netbuf_delete(buf);
  }
  return 0;
}

static void taken(size_t n) {
  held -= n;
  memmove(in, in + n, held);
}

static int attempt(const ip_addr_t *broker, int port) {
  static const unsigned char connect[] = {0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 30, 0, 4, 'l', 'w', 'i', 'p'};
  held = 0;
  conn = netconn_new(NETCONN_TCP);
  netconn_set_recvtimeout(conn, 30000);
  if (netconn_connect(conn, broker, port) == ERR_OK &&
      netconn_write(conn, connect, sizeof connect, NETCONN_COPY) == ERR_OK && receive(4) == 0 && in[0] == 0x20 && in[3] == 0) {
    taken(4);
    return 0;
  }
  return -1;
}

static int publish(int id, const char *text) {
  unsigned char packet[64] = {0x30 | 2, 0, 0, 9};
  size_t n = strlen(text);
  memcpy(packet + 4, "telemetry", 9);
  packet[13] = id >> 8;
  packet[14] = id;
  memcpy(packet + 15, text, n);
  packet[1] = 13 + n;
  if (netconn_write(conn, packet, 15 + n, NETCONN_COPY) != ERR_OK || receive(4) != 0) return -1;
  if (in[0] != 0x40 || in[2] != (id >> 8) || in[3] != (id & 255)) return -1;
  taken(4);
  return 0;
}

int main(int argc, char **argv) {
  ip_addr_t broker;
  sys_sem_t done;
  int up = 0;
  if (argc != 7 || !ip4addr_aton(argv[1], &address) || !ip4addr_aton(argv[2], &netmask) || !ipaddr_aton(argv[3], &broker)) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  sys_sem_new(&done, 0);
  tcpip_init(bring_up, &done);
  sys_sem_wait(&done);
  printf("lwIP is up\n");
  for (int i = 1; i <= atoi(argv[5]); i++) {
    char text[32];
    snprintf(text, sizeof text, "lwip %d", i);
    for (;;) {
      if (!up) {
        if (attempt(&broker, atoi(argv[4])) == 0) {
          up = 1;
          printf("connected\n");
        }
      }
      if (up && publish(i, text) == 0) break;
      printf("lost at %d\n", i);
      netconn_delete(conn);
      up = 0;
      sys_msleep(200);
    }
    sys_msleep(atoi(argv[6]));
  }
  printf("all acknowledged\n");
  return 0;
}
